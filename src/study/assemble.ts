import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { isFile, linkFile, replaceBy, replaceFile } from "../files.js";
import { holm } from "../metrics/statistics/holm.js";
import { type HarnessHead, harnessFiles } from "../results/harness.js";
import { writeItems } from "../results/items-parquet.js";
import { journalKey } from "../results/journal.js";
import { type CellResult, STUDY_SCHEMA } from "../results/study-results.js";
import type { TaskResults } from "../task-evaluation/evaluate-tasks.js";
import { metricsOf, type TaskSummary } from "../task-evaluation/summary.js";
import { type Cell, cellName } from "./cells.js";
import {
  type BlocksPart,
  baseUnit,
  COMPRESSION,
  type CompressionPart,
  type NoisePart,
  type Part,
  type SamplePart,
  type TaskPart,
  type TextPart,
  tokensFile,
} from "./measure.js";
import type { BaseModel } from "./prepare.js";
import type { Store } from "./store.js";

/** Raised whenever the files of a cell are put together otherwise. */
const ASSEMBLY_VERSION = 1;
/** Names, in a unit, what its files were last put together from. */
const ASSEMBLED = "assembled";

export interface AssembleContext {
  /** The study's folder. */
  readonly directory: string;
  readonly store: Store;
  readonly noiseFloor: boolean;
  readonly perToken: boolean;
  /** When the study was begun: ISO 8601, UTC. */
  readonly createdAt: string;
}

/** Whether a cell's files are there as the study wants them. */
export async function isAssembled(cell: Cell, context: AssembleContext): Promise<boolean> {
  const known = await context.store.read<{ readonly wanted: string }>(cell.id, ASSEMBLED);
  return known?.wanted === wantedOf(cell, context) && (await isFile(cellFile(context.directory, cell.id, "json")));
}

/** Puts a cell's files together from its parts; `cells/ID.json` comes last. Undefined where a part is missing. */
export async function assemble(cell: Cell, context: AssembleContext): Promise<CellResult | undefined> {
  const { directory, store } = context;
  const { base, id, label } = cell;
  const parts: Part<unknown>[] = [];
  let isWhole = true;
  const read = async <T>(key: string, unit = id): Promise<T> => {
    const part = await store.read<Part<T>>(unit, key);
    if (!part) isWhole = false;
    else if (unit === id) parts.push(part);
    return part?.value as T;
  };
  const compression = await read<CompressionPart>(COMPRESSION);
  const text: Record<string, CellResult["text"][string]> = {};
  for (const { name, key, noiseKey, record } of base.texts) {
    const summary = await read<TextPart>(key);
    const noise = context.noiseFloor ? await read<NoisePart>(noiseKey, baseUnit(base)) : undefined;
    text[name] = { ...summary, data: record, ...(noise ? { noiseFloor: noise } : {}) };
  }
  const tasks: TaskResults[] = [];
  for (const { key } of base.tasks) tasks.push(await read<TaskPart>(key));
  const sample = base.sample ? await read<SamplePart>(base.sample.key) : null;
  const blocks = base.blocks ? await read<BlocksPart>(base.blocks.key) : null;
  if (!isWhole) return undefined;

  const { environment, ...compressed } = compression;
  const results: TaskResults = {
    summary: adjustTogether(Object.assign({}, ...tasks.map(({ summary }) => summary))),
    records: Object.assign({}, ...tasks.map(({ records }) => records)),
    items: tasks.flatMap(({ items }) => items),
  };
  const result: CellResult = {
    schema: STUDY_SCHEMA,
    id,
    label,
    finishedAt: parts.reduce((last, { finishedAt }) => (finishedAt > last ? finishedAt : last), ""),
    environment,
    compression: compressed,
    text,
    tasks: results.summary,
    taskRecords: results.records,
    blocks,
    sample,
    seconds: secondsOf(parts),
  };
  await mkdir(join(directory, "cells"), { recursive: true });
  await removeLeftovers(join(directory, "cells"), id);
  if (context.perToken) await linkTokens(cell, context);
  if (results.items.length > 0) await writeAllItems(cell, results, result, context);
  await replaceFile(cellFile(directory, id, "json"), `${JSON.stringify(result)}\n`);
  await store.write(id, ASSEMBLED, { wanted: wantedOf(cell, context) });
  return result;
}

/** The cell's lock is ours: files that were to replace its own were left by a process that is gone. */
async function removeLeftovers(folder: string, id: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.startsWith(`${id}.`) && name.endsWith(".partial")) await rm(join(folder, name), { force: true });
  }
}

/** `cells/ID.ENDING` */
export function cellFile(directory: string, id: string, ending: string): string {
  return join(directory, "cells", `${id}.${ending}`);
}

/** By stage, text and task; a text and a task may have one name. */
function secondsOf(parts: readonly Part<unknown>[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { seconds } of parts) {
    for (const [stage, value] of Object.entries(seconds)) sums[stage] = (sums[stage] ?? 0) + value;
  }
  return sums;
}

/** A hash of all that a cell's files are made from. */
function wantedOf({ base, label }: Cell, { noiseFloor, perToken }: AssembleContext): string {
  const { name, texts, tasks, sample, blocks } = base;
  return journalKey(
    ASSEMBLY_VERSION,
    { ...label, model: name },
    texts.map(({ name, key, noiseKey, record }) => [name, key, noiseKey, record]),
    tasks.map(({ name, key }) => [name, key]),
    sample?.windows.map(({ source, window }) => [source, window]) ?? null,
    sample?.key ?? null,
    blocks?.key ?? null,
    [noiseFloor, perToken],
  );
}

/** Holm's correction over the first metrics of all tasks of the cell, which were measured one by one. */
function adjustTogether(tasks: Readonly<Record<string, TaskSummary>>): Record<string, TaskSummary> {
  const firsts = Object.entries(tasks).flatMap(([task, summary]) => {
    const [first] = metricsOf(summary);
    return first && first[1].p !== null ? [{ task, metric: first[0], figures: first[1], p: first[1].p }] : [];
  });
  const adjusted = holm(firsts.map(({ p }) => p));
  const result = { ...tasks };
  for (const [i, { task, metric, figures }] of firsts.entries()) {
    result[task] = { ...result[task], [metric]: { ...figures, pHolm: adjusted[i]! } };
  }
  return result;
}

async function linkTokens({ base, id }: Cell, { directory, store }: AssembleContext): Promise<void> {
  for (const { name, key } of base.texts) {
    await linkFile(await store.path(id, tokensFile(key)), cellFile(directory, id, `${name}.tokens.parquet`));
  }
}

async function writeAllItems(
  cell: Cell,
  results: TaskResults,
  { finishedAt, environment, seconds, compression }: CellResult,
  { directory, createdAt }: AssembleContext,
): Promise<void> {
  const { base, id, label } = cell;
  const lines = results.items.map((item) => `${JSON.stringify(item)}\n`);
  await replaceFile(cellFile(directory, id, "items.jsonl"), lines.join(""));
  await replaceBy(cellFile(directory, id, "items.parquet"), (partial) => writeItems(partial, results.items));
  const head: HarnessHead = {
    date: finishedAt,
    model: { path: `${cellName(label)}-${id}`, sha256: compression.sha256 },
    base: { path: base.name, sha256: base.sha256 },
    environment,
    seconds,
  };
  const files = harnessFiles(head, results, harnessTasks(base));
  const own = files.filter(({ folder }) => folder.endsWith(id));
  const ofBase = harnessFiles({ ...head, date: createdAt }, results, harnessTasks(base)).filter(
    ({ folder }) => !folder.endsWith(id),
  );
  for (const some of [own, ofBase]) await replaceFolder(join(directory, "lm-eval"), some);
}

function harnessTasks({ tasks }: BaseModel) {
  const [first] = tasks;
  if (!first) throw new Error("there are items of no task");
  return { ...first.prepared, tasks: tasks.flatMap(({ prepared }) => prepared.tasks) };
}

/** Writes one model's files and removes those of an earlier date. */
async function replaceFolder(
  directory: string,
  files: readonly { readonly folder: string; readonly name: string; readonly text: string }[],
): Promise<void> {
  const [first] = files;
  if (!first) return;
  const folder = join(directory, first.folder);
  await mkdir(folder, { recursive: true });
  for (const { name, text } of files) await replaceFile(join(folder, name), text);
  const names = files.map(({ name }) => name);
  for (const name of await readdir(folder)) {
    if (/^(results|samples)_.*\.jsonl?$/.test(name) && !names.includes(name))
      await rm(join(folder, name), { force: true });
  }
}
