import { RunError } from "../../errors.js";
import { startThread, type Thread } from "../../thread.js";
import type { Graph } from "../onnxruntime/onnx.js";
import type { Feeds, Fetches } from "../onnxruntime/session.js";
import type { ElementType } from "./library.js";
import { asTensor, createRooms, type Numbers, type Rooms } from "./rooms.js";
import type { Stage } from "./stages.js";

/**
 * Threads that each compute whole runs, with oneDNN in one thread and an arena of their own. As many runs side by side take less time
 * than one after the other with all threads: nobody waits for others between the steps, what lies between the products is computed by
 * all, and a thread finds what it wrote in its own caches.
 */
export interface Lanes {
  /** How to run a graph of which nothing needs onnxruntime. */
  open(graph: Graph): (lane: number, feeds: Feeds, fetches: Fetches) => Promise<Feeds>;
  dispose(): Promise<void>;
}

/** How many there are at most: each has weights and values of its own. With more threads than that, each has several. */
const MOST_LANES = 8;
/** Bytes of weights from which on the processor's last cache has no room for those of several lanes. */
const MANY_BYTES = 2 ** 25;
/** Multiplications, a few milliseconds of them, below which a run is over before a thread would have been told of it. */
const LEAST_WORK = 2 ** 28;

/** How many lanes so many threads make up. */
export function lanesFor(threads: number): number {
  return Math.min(threads, MOST_LANES);
}

/** Which runs of a graph are to go to lanes; none of one that needs onnxruntime, or adds to sums of other runs. */
export function workForLanes(stages: readonly Stage[]): ((feeds: Feeds) => boolean) | undefined {
  const steps = stages.flatMap((stage) => stage.steps);
  if (stages.some(({ graph }) => graph) || steps.some(({ kind }) => kind === "gram")) return undefined;
  const names = steps.flatMap((step) => (step.kind === "linear" ? [step.weight] : []));
  return (feeds) => {
    const weights = names.map((name) => feeds[name]!.data as Numbers);
    const [windows, tokens] = feeds[ROWS]!.dims as readonly [number, number];
    const sum = (of: (weight: Numbers) => number) => weights.reduce((total, weight) => total + of(weight), 0);
    return (
      sum(({ byteLength }) => byteLength) <= MANY_BYTES && windows * tokens * sum(({ length }) => length) >= LEAST_WORK
    );
  };
}

/** What a thread is to run. */
export interface LaneTask {
  /** A graph's number, and the graph where the thread has not seen it. */
  readonly id: number;
  readonly graph?: Graph;
  /** Numbers that are the same in many runs, and those that nobody has any more. */
  readonly kept: readonly (readonly [room: number, numbers: Numbers])[];
  readonly gone: readonly number[];
  readonly feeds: Readonly<Record<string, LaneFeed>>;
  readonly fetches: Readonly<Record<string, LaneTensor | null>>;
}

interface LaneTensor {
  readonly data: Numbers;
  readonly dims: readonly number[];
}

/** Numbers that are sent, or those that a room has in this version. */
export type LaneFeed =
  | LaneTensor
  | { readonly room: number; readonly version: number; readonly dims: readonly number[] };

/** What it made, but for what is in its place already. */
export type LaneAnswer =
  | { readonly made: Readonly<Record<string, LaneTensor>> }
  | { readonly error: unknown; readonly isRunError: boolean };

/** The graph input that is another one in every run. */
const ROWS = "x";

interface Lane {
  readonly thread: Thread<LaneTask, LaneAnswer>;
  /** The run that it is busy with. */
  last: Promise<unknown>;
  readonly graphs: Set<number>;
  readonly rooms: Set<number>;
}

/** What every lane's thread is told at its beginning. */
export interface LaneSettings {
  readonly precision: ElementType;
  readonly threads: number;
}

/** They begin at their first run. */
export function createLanes(settings: LaneSettings): Lanes {
  const lanes = new Map<number, Lane>();
  const rooms = createRooms();
  let graphs = 0;
  const start = (): Lane => ({
    thread: startThread("engine/onednn/lane.js", settings),
    last: Promise.resolve(),
    graphs: new Set(),
    rooms: new Set(),
  });
  return {
    open(graph) {
      const id = graphs++;
      return async (number, feeds, fetches) => {
        const lane = lanes.get(number) ?? start();
        lanes.set(number, lane);
        const run = lane.last.then(() => runIn(lane, rooms, id, graph, feeds, fetches));
        lane.last = run.catch(() => {});
        return run;
      };
    },
    async dispose() {
      await Promise.all(Array.from(lanes.values(), ({ thread }) => thread.stop()));
      lanes.clear();
    },
  };
}

async function runIn(
  lane: Lane,
  rooms: Rooms,
  id: number,
  graph: Graph,
  feeds: Feeds,
  fetches: Fetches,
): Promise<Feeds> {
  const kept: [number, Numbers][] = [];
  const sent = Object.entries(feeds).map(([name, { data, dims }]): [string, LaneFeed] => {
    if (name === ROWS) return [name, { data: data as Numbers, dims }];
    const { room, version, numbers } = rooms.put(data as Numbers);
    if (!lane.rooms.has(room)) kept.push([room, numbers]);
    lane.rooms.add(room);
    return [name, { room, version, dims }];
  });
  const gone = [...lane.rooms].filter((room) => !rooms.has(room));
  for (const room of gone) lane.rooms.delete(room);
  const inPlace = Object.entries(fetches).map(([name, tensor]): [string, LaneTensor | null] => {
    const data = tensor?.data as Numbers | undefined;
    return [name, data?.buffer instanceof SharedArrayBuffer ? { data, dims: tensor!.dims } : null];
  });
  const answer = await lane.thread.ask({
    id,
    ...(!lane.graphs.has(id) && { graph }),
    kept,
    gone,
    feeds: Object.fromEntries(sent),
    fetches: Object.fromEntries(inPlace),
  });
  if ("error" in answer) {
    const { error, isRunError } = answer;
    throw isRunError ? new RunError((error as Error).message, { cause: error }) : error;
  }
  lane.graphs.add(id);
  return Object.fromEntries(
    Object.entries(fetches).map(([name, tensor]) => {
      const made = answer.made[name];
      if (!made) return [name, tensor!];
      if (!tensor) return [name, asTensor(made.data, made.dims)];
      (tensor.data as Float32Array).set(made.data as Float32Array);
      return [name, tensor];
    }),
  );
}
