import { rm } from "node:fs/promises";
import type { Checkpoint } from "../checkpoint/checkpoint.js";
import { openCheckpoint } from "../checkpoint/open.js";
import { isUnfinished } from "../checkpoint/unfinished.js";
import { type CompressResult, compress } from "../compress.js";
import type { Engine } from "../engine/engine.js";
import { throwIfAborted } from "../errors.js";
import { isFile } from "../files.js";
import { openModel } from "../model/model.js";
import { createStopwatch, type OnProgress } from "../progress.js";
import { type EnvironmentRecord, environmentRecord } from "../results/environment.js";
import { type Journal, rememberIn } from "../results/journal.js";
import type { BlockResult, SampleWindow } from "../results/study-results.js";
import { runTasks, type TaskResults } from "../task-evaluation/evaluate-tasks.js";
import { blockDamage } from "../text-evaluation/block-damage.js";
import {
  type ComparedSummary,
  compareModels,
  measureNoiseFloor,
  type NoiseFloor,
  type TextRun,
} from "../text-evaluation/evaluate-text.js";
import { readTogether } from "../text-evaluation/sample.js";
import type { Cell } from "./cells.js";
import type { BaseModel, PreparedTask, PreparedText } from "./prepare.js";
import type { Store } from "./store.js";

/** Something that was computed as a whole, when, and how long it took. */
export interface Part<T> {
  readonly value: T;
  readonly finishedAt: string;
  readonly seconds: Readonly<Record<string, number>>;
}

export interface CompressionPart extends Pick<CompressResult, "sparsity" | "sites" | "calibration"> {
  readonly sha256: string;
  readonly bytes: number;
  readonly environment: EnvironmentRecord;
}

export type TextPart = ComparedSummary;
export type TaskPart = TaskResults;
export type NoisePart = NoiseFloor;
export type BlocksPart = readonly BlockResult[];
export type SamplePart = readonly SampleWindow[];
/** What the base answered, as the journal has it. */
type AnswersPart = readonly (readonly [key: string, value: unknown])[];

/** The key of a cell's compression: the cell's own name says what determines it. */
export const COMPRESSION = "compression";

export interface MeasureContext {
  readonly store: Store;
  readonly engine: Engine;
  readonly perToken: boolean;
  readonly noiseFloor: boolean;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: OnProgress;
}

/** The unit under which the store has what was measured on a base model alone. */
export function baseUnit({ sha256 }: BaseModel): string {
  return `base-${sha256.slice(0, 16)}`;
}

export function tokensFile(key: string): string {
  return `${key}.tokens.parquet`;
}

/** Where the compressed checkpoint lies while it is measured, or for good. */
export interface Place {
  readonly checkpoint: string;
  readonly isKept: boolean;
}

/** What of a cell is still to be computed. */
interface Missing {
  readonly compression: boolean;
  readonly texts: readonly PreparedText[];
  readonly tasks: readonly PreparedTask[];
  readonly sample: BaseModel["sample"];
  readonly blocks: BaseModel["blocks"];
}

/** Names what is missing of a cell: nothing where it was measured before. */
export async function missingParts(
  cell: Cell,
  { store, perToken }: Pick<MeasureContext, "store" | "perToken">,
): Promise<Missing> {
  const { base, id } = cell;
  const lacks = async (key: string) => !(await store.has(id, key));
  const texts: PreparedText[] = [];
  for (const text of base.texts) {
    const isThere =
      (await store.has(id, text.key)) && (!perToken || (await isFile(await store.path(id, tokensFile(text.key)))));
    if (!isThere) texts.push(text);
  }
  const tasks: PreparedTask[] = [];
  for (const task of base.tasks) if (await lacks(task.key)) tasks.push(task);
  return {
    compression: await lacks(COMPRESSION),
    texts,
    tasks,
    sample: base.sample && (await lacks(base.sample.key)) ? base.sample : undefined,
    blocks: base.blocks && (await lacks(base.blocks.key)) ? base.blocks : undefined,
  };
}

/** Whether anything has to be measured. */
export function anythingIn({ compression, texts, tasks, sample, blocks }: Missing): boolean {
  return compression || texts.length > 0 || tasks.length > 0 || sample !== undefined || blocks !== undefined;
}

/** Measures on the base alone what its cells are compared with; what is there is not measured again. */
export async function measureBase(base: BaseModel, context: MeasureContext): Promise<void> {
  const { store, engine, signal, onProgress } = context;
  const unit = baseUnit(base);
  if (context.noiseFloor) {
    for (const { noiseKey: key, windows } of base.texts) {
      if (await store.has(unit, key)) continue;
      const watch = createStopwatch();
      const run: TextRun = { engine, windows, options: { ...aborting(signal), onProgress }, watch };
      await writePart(store, unit, key, await measureNoiseFloor(run, base), watch.seconds);
    }
  }
  for (const task of base.tasks) {
    if (!generates(task) || (await store.has(unit, task.key))) continue;
    throwIfAborted(signal);
    const watch = createStopwatch();
    const entries = new Map<string, unknown>();
    const run = { engine, model: base, base: undefined, journal: rememberIn(entries), signal, onProgress };
    await watch.time(task.name, () => runTasks(run, task.prepared, task.options));
    const answers: AnswersPart = [...entries];
    await writePart(store, unit, task.key, answers, watch.seconds);
  }
}

/** Compresses a cell's model and measures all that is missing, each part written when it is done. */
export async function measureCell(cell: Cell, place: Place, context: MeasureContext): Promise<void> {
  const { store, engine, signal, onProgress } = context;
  const { base, id } = cell;
  const sha256 = await provideCheckpoint(cell, place.checkpoint, context);
  const missing = await missingParts(cell, context);
  const checkpoint = await openCheckpoint(place.checkpoint);
  try {
    const model = openModel(checkpoint);
    for (const { name, key, windows } of missing.texts) {
      const watch = createStopwatch();
      const options = {
        ...aborting(signal),
        onProgress: prefixed(onProgress, name),
        ...(context.perToken ? { perToken: await store.path(id, tokensFile(key)) } : {}),
      };
      const summary = await compareModels({ engine, windows, options, watch }, base, model, base.tokenizer);
      await writePart(store, id, key, summary satisfies TextPart, { [name]: total(watch.seconds) });
    }
    for (const task of missing.tasks) {
      throwIfAborted(signal);
      const watch = createStopwatch();
      const journal = await journalOf(base, task, store);
      const contestants = { model: { model, sha256 }, base };
      const run = { engine, ...contestants, journal, signal, onProgress: prefixed(onProgress, task.name) };
      const results = await watch.time(task.name, () => runTasks(run, task.prepared, task.options));
      await writePart(store, id, task.key, results satisfies TaskPart, watch.seconds);
    }
    if (missing.sample) {
      const watch = createStopwatch();
      const { windows, key } = missing.sample;
      const tokenizer = await base.tokenizer();
      const textOf = (token: number) => tokenizer?.tokenText(token) ?? String(token);
      const ids = windows.map((window) => window.ids);
      const read = await watch.time("sample", () => readTogether(engine, base.model, model, ids, textOf, signal));
      const sample: SamplePart = windows.map(({ source, window }, i) => ({ source, window, tokens: read[i]! }));
      await writePart(store, id, key, sample, watch.seconds);
    }
    if (missing.blocks) {
      const watch = createStopwatch();
      const run: TextRun = {
        engine,
        windows: missing.blocks.windows,
        options: { ...aborting(signal), onProgress },
        watch,
      };
      const blocks: BlocksPart = await blockDamage(run, base.model, model);
      await writePart(store, id, missing.blocks.key, blocks, watch.seconds);
    }
  } finally {
    await checkpoint.close();
  }
  if (!place.isKept) await rm(place.checkpoint, { recursive: true, force: true });
}

/** The cell's checkpoint as it was made before, or made now; its hash. */
async function provideCheckpoint(cell: Cell, directory: string, context: MeasureContext): Promise<string> {
  const { store, signal, onProgress } = context;
  const known = await store.read<Part<CompressionPart>>(cell.id, COMPRESSION);
  if (known && (await hashOf(directory, signal)) === known.value.sha256) return known.value.sha256;
  // The cell's lock is ours: whatever lies there was left by a process that is gone, on another machine perhaps. Finished
  // layers are gone on with.
  const partial = `${directory}.partial`;
  for (const path of [directory, `${partial}.lock`, ...((await isUnfinished(partial)) ? [] : [partial])]) {
    await rm(path, { recursive: true, force: true });
  }
  const result = await compress({ ...cell.compression, output: directory, ...aborting(signal), onProgress });
  const checkpoint = await openCheckpoint(directory);
  try {
    const value: CompressionPart = {
      sparsity: result.sparsity,
      sites: result.sites,
      calibration: result.calibration,
      sha256: await checkpoint.hash(signal),
      bytes: checkpoint.bytes,
      environment: environmentRecord(context.engine),
    };
    if (known?.value.sha256 === value.sha256) return value.sha256;
    // Rounded otherwise on another machine: then what was measured there is of other weights.
    if (known) await store.clear(cell.id);
    await writePart(store, cell.id, COMPRESSION, value, result.seconds);
    return value.sha256;
  } finally {
    await checkpoint.close();
  }
}

async function hashOf(directory: string, signal: AbortSignal | undefined): Promise<string | undefined> {
  let checkpoint: Checkpoint;
  try {
    checkpoint = await openCheckpoint(directory);
  } catch {
    return undefined;
  }
  try {
    return await checkpoint.hash(signal);
  } finally {
    await checkpoint.close();
  }
}

/** A journal that knows what the base answered; the rest it only remembers. */
async function journalOf(base: BaseModel, task: PreparedTask, store: Store): Promise<Journal> {
  const answers = generates(task) ? await store.read<Part<AnswersPart>>(baseUnit(base), task.key) : undefined;
  return rememberIn(new Map(answers?.value));
}

function generates({ prepared }: PreparedTask): boolean {
  return prepared.tasks.some(({ task }) => task.kind === "generate");
}

async function writePart<T>(
  store: Store,
  unit: string,
  key: string,
  value: T,
  seconds: Readonly<Record<string, number>>,
): Promise<void> {
  const part: Part<T> = { value, finishedAt: new Date().toISOString(), seconds };
  await store.write(unit, key, part);
}

function total(seconds: Readonly<Record<string, number>>): number {
  return Object.values(seconds).reduce((sum, value) => sum + value, 0);
}

function aborting(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

/** Says of what the work is. */
export function prefixed(onProgress: OnProgress, name: string): OnProgress {
  return (event) => onProgress(event.kind === "start" ? { ...event, what: `${name}: ${event.what}` } : event);
}
