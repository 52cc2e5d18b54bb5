import { stat, statfs } from "node:fs/promises";
import { arch, availableParallelism, cpus, freemem, platform, release, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { type BuiltInSource, builtInSources, type Purpose } from "./data/registry.js";
import type { Engine } from "./engine/engine.js";
import { engines } from "./engine/registry.js";
import { measureSpeed } from "./engine/speed.js";
import { throwIfAborted } from "./errors.js";
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
  /** The folder of data sets, as it was given. */
  readonly dataDirectory: string | null;
  readonly data: readonly DataReport[];
}

/** One engine: how fast it is, or why it cannot be used. */
type EngineReport = { readonly name: string; readonly isDefault: boolean } & (
  | { readonly version: string; readonly precision: string; readonly gigaflops: number; readonly problem: null }
  | { readonly version: null; readonly precision: null; readonly gigaflops: null; readonly problem: string }
);

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
  const reports: EngineReport[] = [];
  for (const [index, { name, create }] of engines.entries()) {
    throwIfAborted(signal);
    reports.push({ ...(await examine(create)), name, isDefault: index === 0 });
  }
  const problems: string[] = [];
  if (Number.parseInt(process.versions.node, 10) < LEAST_NODE) {
    problems.push(`Node ${process.versions.node} is too old: pare needs ${LEAST_NODE} or newer`);
  }
  if (dataDirectory !== undefined && !(await stat(dataDirectory).catch(() => undefined))?.isDirectory()) {
    problems.push(`the data folder ${dataDirectory} is not there: correct --data-dir or PARE_DATA`);
  }
  for (const { name, isDefault, problem } of reports) {
    if (isDefault && problem !== null) problems.push(`the default engine, ${name}, does not run: ${problem}`);
  }
  const disks: { path: string; free: number }[] = [];
  for (const path of new Set([process.cwd(), tmpdir()])) {
    const { bavail, bsize } = await statfs(path);
    disks.push({ path, free: bavail * bsize });
  }
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
    dataDirectory: dataDirectory ?? null,
    data: await Promise.all(builtInSources.map((source) => findData(source, dataDirectory))),
  };
}

async function findData(source: BuiltInSource, dataDirectory: string | undefined): Promise<DataReport> {
  const find = async (purpose: Purpose): Promise<string | null> => {
    for (const { path } of dataDirectory === undefined ? [] : source.candidates[purpose]) {
      const file = join(dataDirectory as string, path);
      if ((await stat(file).catch(() => undefined))?.isFile()) return file;
    }
    return source.excerpt === undefined ? null : "the excerpt that comes with pare";
  };
  return { name: source.name, calibration: await find("calibration"), evaluation: await find("evaluation") };
}

async function examine(create: (options: object) => Engine) {
  let engine: Engine | undefined;
  try {
    engine = create({});
    const { version, precision } = engine;
    return { version, precision, gigaflops: await measureSpeed(engine), problem: null };
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return { version: null, precision: null, gigaflops: null, problem };
  } finally {
    await engine?.dispose();
  }
}
