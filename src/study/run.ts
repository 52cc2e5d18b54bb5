import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type { Checkpoint } from "../checkpoint/checkpoint.js";
import { RECORD_FILE } from "../checkpoint/layout.js";
import { takeLock } from "../checkpoint/lock.js";
import type { Engine } from "../engine/engine.js";
import { createEngine } from "../engine/registry.js";
import { AbortError, InputError, systemAdvice, throwIfAborted } from "../errors.js";
import { isFile, isPartialOf, replaceFile } from "../files.js";
import type { OnProgress } from "../progress.js";
import { environmentRecord } from "../results/environment.js";
import { withFigures } from "../results/model-index.js";
import { modelRecord } from "../results/model-record.js";
import { readStudy, type StudyResults } from "../results/study-folder.js";
import { type CellResult, type FailedCell, STUDY_SCHEMA, type StudyRecord } from "../results/study-results.js";
import { summaryCsv } from "../results/summary-csv.js";
import { oneLine } from "../text/one-line.js";
import { type AssembleContext, assemble, cellFile, isAssembled } from "./assemble.js";
import { type Cell, cellName, listCells } from "./cells.js";
import type { StudyDefinition } from "./definition.js";
import { loadStudy, type StudyOverrides } from "./load.js";
import {
  anythingIn,
  baseUnit,
  type MeasureContext,
  measureBase,
  measureCell,
  missingParts,
  prefixed,
} from "./measure.js";
import { type BaseModel, prepareModels } from "./prepare.js";
import { createStore } from "./store.js";

/** How often a process that has nothing left to do looks whether the others are done. */
const POLL_SECONDS = 1;
/** Between two versions of summary.csv while the study runs: it is made from all cells. */
const SUMMARY_SECONDS = 10;

export interface StudyOptions {
  /** The study file. */
  readonly study: string;
  /** Folder of the results: a new one, or that of the same study, which goes on. The study's name where not given. */
  readonly output?: string;
  /** In place of what the file says. */
  readonly overrides?: StudyOverrides;
  /** `2/4` computes the second quarter of the cells: for machines that share a folder. */
  readonly shard?: string;
  /** Folder with copies of the built-in data sets. */
  readonly dataDirectory?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

/** A study's results as they lie in its folder, and what this run did for them. */
export interface StudyResult extends StudyResults {
  readonly output: string;
  /** Ids of the cells that this run computed, wholly or in part. */
  readonly computed: readonly string[];
}

/** A study with its models open and all its data read. */
export interface OpenStudy {
  readonly definition: StudyDefinition;
  readonly output: string;
  readonly engine: Engine;
  readonly models: readonly BaseModel[];
  readonly cells: readonly Cell[];
  /** Those of this shard. */
  readonly own: readonly Cell[];
  close(): Promise<void>;
}

/**
 * Runs a study: compresses every cell of the grid and measures it against its base, into one folder. What is there is not
 * computed again; several processes may work on one folder. A cell that fails is recorded and the others go on. Throws
 * InputError, RunError, AbortError.
 */
export async function study(options: StudyOptions): Promise<StudyResult> {
  const open = await openStudy(options);
  try {
    await checkFolder(open.output);
    const record = await writeRecord(open);
    const computed = await runCells(open, record, options);
    await writeSummary(open.output);
    return { ...(await readStudy(open.output)), output: open.output, computed };
  } finally {
    await open.close();
  }
}

/** Reads the study and everything it names, and lists its cells. Throws InputError. */
export async function openStudy(options: StudyOptions): Promise<OpenStudy> {
  const { dataDirectory, signal, onProgress = () => {} } = options;
  const shard = parseShard(options.shard);
  const definition = await loadStudy(options.study, options.overrides, signal);
  const output = options.output ?? definition.name;
  const { precision, threads, device } = definition;
  const engine = createEngine(definition.engine ?? undefined, {
    ...(precision === null ? {} : { precision }),
    ...(device === null ? {} : { device }),
    ...(threads === null ? {} : { threads }),
  });
  const opened: Checkpoint[] = [];
  const close = async () => {
    await engine.dispose();
    for (const checkpoint of opened) await checkpoint.close();
  };
  try {
    await engine.check?.();
    onProgress({ kind: "start", what: "reading models and data", total: definition.models.length });
    const models = await prepareModels(definition, engine, opened, { dataDirectory, signal, onProgress });
    const cells = await listCells(definition, models, engine, { dataDirectory, signal, onProgress });
    const own = cells.filter((_, i) => i % shard.of === shard.index);
    return { definition, output, engine, models, cells, own, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function parseShard(text: string | undefined): { readonly index: number; readonly of: number } {
  if (text === undefined) return { index: 0, of: 1 };
  const match = /^(\d{1,6})\/(\d{1,6})$/.exec(text);
  const [index, of] = [Number(match?.[1]), Number(match?.[2])];
  if (!match || index < 1 || index > of) {
    throw new InputError(`--shard ${text}: write it i/n with i from 1 to n, such as 2/4 for the second of four`);
  }
  return { index: index - 1, of };
}

/** What a study's folder holds before study.json is there. */
const FOLDERS = ["cells", "locks", "parts", "work"];

/**
 * Makes the study's folders. Throws InputError for a folder that holds anything but a study; one that another process has just
 * begun, or was killed while it began, has no study.json yet.
 */
async function checkFolder(output: string): Promise<void> {
  const there = await readdir(output).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [] as string[];
    throw new InputError(`--output ${output}: ${systemAdvice(error.code ?? "") ?? error.message}`, { cause: error });
  });
  const isOwn = (name: string) => FOLDERS.includes(name) || isPartialOf("study.json", name);
  if (!there.includes("study.json") && !there.every(isOwn)) {
    throw new InputError(`--output ${output}: the folder holds other things than a study; name a new one`);
  }
  for (const folder of FOLDERS) await mkdir(join(output, folder), { recursive: true });
}

/** Writes study.json, or leaves it where it says the same. */
async function writeRecord({ definition, output, engine, models, cells }: OpenStudy): Promise<StudyRecord> {
  const path = join(output, "study.json");
  const old = (await isFile(path)) ? await readStudyRecord(path) : undefined;
  const record: StudyRecord = {
    schema: STUDY_SCHEMA,
    name: definition.name,
    createdAt: old?.createdAt ?? new Date().toISOString(),
    definition,
    environment: environmentRecord(engine),
    models: models.map(({ name, model, sha256, parameters }) => ({
      name,
      ...modelRecord(model.checkpoint.path, sha256),
      family: model.family,
      parameters,
      layers: model.layers.length,
    })),
    cells: cells.map(({ id, label }) => ({ id, label })),
  };
  await replaceFile(path, `${JSON.stringify(record, null, 2)}\n`);
  return record;
}

async function readStudyRecord(path: string): Promise<Partial<StudyRecord> | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as Partial<StudyRecord>;
  } catch {
    return undefined; // written anew
  }
}

/** Computes what is missing of this shard's cells; what other processes compute is waited for. */
async function runCells(
  open: OpenStudy,
  { createdAt }: StudyRecord,
  { signal, onProgress = () => {} }: StudyOptions,
): Promise<string[]> {
  const { definition, output, engine, own } = open;
  const store = createStore(join(output, "parts"));
  const { noiseFloor, perToken } = definition;
  const measuring: MeasureContext = { store, engine, perToken, noiseFloor, signal, onProgress };
  const assembling: AssembleContext = { directory: output, store, noiseFloor, perToken, createdAt };
  const computed: string[] = [];
  const failed = new Set<string>();
  let summarised = Number.NEGATIVE_INFINITY;
  let pending = [...own];
  while (pending.length > 0) {
    const taken: Cell[] = [];
    for (const cell of pending) {
      throwIfAborted(signal);
      if (await isDone(cell, definition, assembling)) continue;
      const lock = await takeLock(join(output, "locks", `${cell.id}.lock`));
      if (!lock) {
        taken.push(cell);
        continue;
      }
      const title = `[${own.indexOf(cell) + 1}/${own.length}] ${cellName(cell.label)}`;
      const context = { ...measuring, onProgress: prefixed(onProgress, title) };
      try {
        if (await isDone(cell, definition, assembling)) continue; // another process was faster
        if (await computeCell(cell, open, context, assembling)) computed.push(cell.id);
        if (performance.now() - summarised > 1000 * SUMMARY_SECONDS) {
          await writeSummary(output);
          summarised = performance.now();
        }
      } catch (error) {
        if (error instanceof AbortError || signal?.aborted) throw error;
        failed.add(cell.id);
        onProgress({ kind: "warning", message: `${title} failed: ${oneLine(error)}` });
        await recordFailure(cell, output, error);
      } finally {
        await lock.release();
      }
    }
    // What another process gave up is tried again by whoever sees it first.
    pending = taken.filter(({ id }) => !failed.has(id));
    if (pending.length > 0) await pause(signal);
  }
  return computed;
}

async function isDone(cell: Cell, { keep }: StudyDefinition, assembling: AssembleContext): Promise<boolean> {
  if (!(await isAssembled(cell, assembling))) return false;
  return keep === "none" || isFile(join(keptCheckpoint(assembling.directory, cell), RECORD_FILE));
}

/** True where anything was measured, rather than only put together anew. */
async function computeCell(
  cell: Cell,
  { definition, output }: OpenStudy,
  context: MeasureContext,
  assembling: AssembleContext,
): Promise<boolean> {
  const kept = keptCheckpoint(output, cell);
  const isKept = definition.keep === "all";
  const isMeasured =
    !anythingIn(await missingParts(cell, context)) && (!isKept || (await isFile(join(kept, RECORD_FILE))));
  await provideBase(cell.base, output, context);
  if (!isMeasured) {
    await measureCell(cell, { checkpoint: isKept ? kept : join(output, "work", cell.id), isKept }, context);
  }
  await rm(cellFile(output, cell.id, "failed.json"), { force: true });
  if (!(await assemble(cell, assembling))) {
    // A part that cannot be read: forget the cell's, so that the next run computes them.
    await context.store.clear(cell.id);
    throw new Error("a part of its results could not be read; the same command computes it again");
  }
  if (isKept) await writeFigures(join(kept, "README.md"), cell, output);
  return !isMeasured;
}

function keptCheckpoint(output: string, { label, id }: Cell): string {
  return join(output, "checkpoints", `${cellName(label)}-${id}`);
}

/** Puts what was measured into the card of a checkpoint that is kept. */
async function writeFigures(card: string, { id, label }: Cell, output: string): Promise<void> {
  const result = JSON.parse(await readFile(cellFile(output, id, "json"), "utf8")) as CellResult;
  await replaceFile(card, withFigures(await readFile(card, "utf8"), card, cellName(label), result));
}

/** Measures the base unless it is done, or waits for the process that does so. */
async function provideBase(base: BaseModel, output: string, context: MeasureContext): Promise<void> {
  const path = join(output, "locks", `${baseUnit(base)}.lock`);
  for (;;) {
    throwIfAborted(context.signal);
    const lock = await takeLock(path);
    if (lock) {
      try {
        await measureBase(base, context);
        return;
      } finally {
        await lock.release();
      }
    }
    await pause(context.signal);
  }
}

async function pause(signal: AbortSignal | undefined): Promise<void> {
  await wait(1000 * POLL_SECONDS, undefined, signal ? { signal } : {}).catch(() => throwIfAborted(signal));
}

async function recordFailure({ id, label }: Cell, output: string, error: unknown): Promise<void> {
  const failure: FailedCell = {
    schema: STUDY_SCHEMA,
    id,
    label,
    failedAt: new Date().toISOString(),
    error: oneLine(error),
  };
  await replaceFile(cellFile(output, id, "failed.json"), `${JSON.stringify(failure, null, 2)}\n`);
}

async function writeSummary(output: string): Promise<void> {
  const { cells } = await readStudy(output);
  await replaceFile(join(output, "summary.csv"), summaryCsv(cells));
}
