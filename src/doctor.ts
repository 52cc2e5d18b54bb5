import { statfs } from "node:fs/promises";
import { arch, availableParallelism, cpus, freemem, platform, release, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { type BuiltInSource, builtInSources, type Purpose } from "./data/registry.js";
import { dataFolderProblem } from "./data/sources.js";
import type { Device, Engine, Precision } from "./engine/engine.js";
import { availableDevices } from "./engine/onnxruntime/session.js";
import { engines } from "./engine/registry.js";
import { measureSpeed } from "./engine/speed.js";
import { InputError, throwIfAborted } from "./errors.js";
import { isFile } from "./files.js";
import { hubSettings } from "./hub/settings.js";
import { version } from "./version.js";

/** The least Node that pare runs on; package.json's engines says the same. */
const LEAST_NODE = 20;

/** What pare found on this machine. */
export interface DoctorResult {
  /** False when something is missing that pare cannot work without; `problems` says what, a line each. */
  readonly ok: boolean;
  readonly problems: readonly string[];
  readonly pare: string;
  readonly node: string;
  readonly platform: string;
  readonly processor: string;
  /** Threads that the system lets pare run at once. */
  readonly cores: number;
  /** Bytes. */
  readonly memory: { readonly total: number; readonly free: number };
  /** Free bytes on the disks of the working folder and of temporary files. */
  readonly disks: readonly { readonly path: string; readonly free: number }[];
  readonly engines: readonly EngineReport[];
  /** What onnxruntime-node has for `--device` on this system; whether there is such a device shows when it is used. */
  readonly devices: readonly Device[];
  /** The Hugging Face hub as the environment says; of the token only whether there is one. */
  readonly hub: {
    readonly endpoint: string;
    readonly cache: string;
    readonly isOffline: boolean;
    readonly hasToken: boolean;
  } | null;
  /** The folder of data sets, as it was given. */
  readonly dataDirectory: string | null;
  readonly data: readonly DataReport[];
}

/** One engine in one precision: how fast it is, or why it cannot be used. */
type FoundEngine = { readonly name: string; readonly precision: Precision } & EngineSpeed;
type EngineReport = FoundEngine & { readonly isDefault: boolean };

type EngineSpeed =
  | { readonly version: string; readonly gigaflops: number; readonly problem: null }
  | { readonly version: null; readonly gigaflops: null; readonly problem: string };

/** A built-in data source and what would be read for each purpose; null where nothing is there. */
interface DataReport {
  readonly name: string;
  readonly calibration: string | null;
  readonly evaluation: string | null;
}

export interface DoctorOptions {
  readonly dataDirectory?: string;
  readonly signal?: AbortSignal;
}

/** Looks at the machine and measures every engine for about a second. Throws AbortError. */
export async function doctor({ dataDirectory, signal }: DoctorOptions = {}): Promise<DoctorResult> {
  const found: FoundEngine[] = [];
  for (const { name, precisions, create } of engines) {
    for (const precision of precisions) {
      throwIfAborted(signal);
      const report = await examine(() => create({ precision }));
      found.push({ ...report, name, precision });
      if (report.version === null) break; // it does not run in the others either
    }
  }
  // Engines are listed by speed; what is computed in is float32 unless something else is asked for.
  const byDefault = found.find(({ precision, problem }) => precision === "float32" && problem === null);
  const reports: EngineReport[] = found.map((report) => ({ ...report, isDefault: report === byDefault }));
  const problems: string[] = [];
  if (!byDefault) problems.push(`no engine runs in float32: ${found.map(({ problem }) => problem).join("; ")}`);
  if (Number.parseInt(process.versions.node, 10) < LEAST_NODE) {
    problems.push(`Node ${process.versions.node} is too old: pare needs ${LEAST_NODE} or newer`);
  }
  const noData = await dataFolderProblem(dataDirectory);
  if (noData !== undefined) problems.push(noData);
  const disks: { path: string; free: number }[] = [];
  for (const path of new Set([process.cwd(), tmpdir()])) {
    const { bavail, bsize } = await statfs(path);
    disks.push({ path, free: bavail * bsize });
  }
  const hub = await describeHub(problems);
  return {
    ok: problems.length === 0,
    problems,
    pare: version,
    node: process.versions.node,
    platform: `${platform()} ${release()} ${arch()}`,
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memory: { total: totalmem(), free: freemem() },
    disks,
    engines: reports,
    devices: availableDevices(),
    hub,
    dataDirectory: dataDirectory ?? null,
    data: await Promise.all(builtInSources.map((source) => findData(source, dataDirectory))),
  };
}

/** Null where the environment's settings make no sense, which is a problem. */
async function describeHub(problems: string[]): Promise<DoctorResult["hub"]> {
  try {
    const { endpoint, cache, isOffline, token } = await hubSettings();
    return { endpoint, cache, isOffline, hasToken: token !== undefined };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    problems.push(error.message);
    return null;
  }
}

async function findData(source: BuiltInSource, dataDirectory: string | undefined): Promise<DataReport> {
  const find = async (purpose: Purpose): Promise<string | null> => {
    for (const { path } of dataDirectory === undefined ? [] : source.candidates[purpose]) {
      const file = join(dataDirectory as string, path);
      if (await isFile(file)) return file;
    }
    if (source.excerpt !== undefined) return "the excerpt that comes with pare";
    return source.hub === undefined ? null : `on the hub: ${source.hub.name}`;
  };
  return { name: source.name, calibration: await find("calibration"), evaluation: await find("evaluation") };
}

async function examine(create: () => Engine): Promise<EngineSpeed> {
  let engine: Engine | undefined;
  try {
    engine = create();
    return { version: engine.version, gigaflops: await measureSpeed(engine), problem: null };
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return { version: null, gigaflops: null, problem };
  } finally {
    await engine?.dispose();
  }
}
