import { InputError } from "../../errors.js";
import { type Device, devices } from "../engine.js";
import { encodeModel, type Graph } from "./onnx.js";
import { env, InferenceSession, listSupportedBackends, type Tensor } from "./ort.js";

/** Name and version for results. */
export function versionOn(device: Device): string {
  return `onnxruntime-node ${env.versions.node ?? env.versions.common}, ${device === "cpu" ? "CPU" : device}`;
}

export type Feeds = Record<string, Tensor>;
export type Fetches = Readonly<Record<string, Tensor | null>>;

/** A graph made ready to run. */
export interface Session {
  /**
   * Outputs by name: in the tensors that `fetches` gives, or in new ones where that has null. In a lane, as Executable has it, where
   * the session knows any.
   */
  run(feeds: Feeds, fetches?: Fetches, lane?: number): Promise<Feeds>;
  release(): Promise<void>;
}

/** How a graph is made ready to run. */
export type Open = (graph: Graph) => Promise<Session>;

/** The devices that onnxruntime-node is built for on this system. */
export function availableDevices(): Device[] {
  const names = listSupportedBackends().map(({ name }) => name);
  return devices.filter((device) => names.includes(device));
}

/** Throws InputError for one that onnxruntime-node is not built for here. */
export function checkDevice(device: Device): void {
  const there = availableDevices();
  if (there.includes(device)) return;
  const system = `${process.platform} ${process.arch}`;
  throw new InputError(`--device ${device}: onnxruntime-node has none on ${system}; there are: ${there.join(", ")}`);
}

interface SessionSettings {
  readonly threads: number;
  readonly frugal?: boolean;
  readonly device?: Device;
}

/** Makes onnxruntime ready to run a graph. */
export async function openSession(
  graph: Graph,
  { threads, frugal = false, device = "cpu" }: SessionSettings,
): Promise<Session> {
  // Float64 products are the methods' algebra, which only the processor has.
  const isFloat64 = graph.inputs.some(({ type }) => type === "double");
  env.logLevel = "fatal"; // what fails is thrown, too
  const session = await InferenceSession.create(encodeModel(graph), {
    executionProviders: device === "cpu" || isFloat64 ? ["cpu"] : [device, "cpu"],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    enableCpuMemArena: !frugal,
    enableMemPattern: !frugal,
    extra: {
      session: {
        // Numbers below 1e-38 count as 0: attention is full of them, and computing with them takes many times as long.
        set_denormal_as_zero: "1",
        // Threads that wait for more work of one graph would keep the processor from the next graph's.
        force_spinning_stop: "1",
      },
    },
    logSeverityLevel: 3,
  });
  return {
    run: (feeds, fetches) => (fetches ? session.run(feeds, fetches) : session.run(feeds)),
    release: () => session.release(),
  };
}
