import { lstat, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile } from "../files.js";
import { isMissing, readSmallFile } from "./folder.js";
import { isObject } from "./json.js";
import { CONFIG_FILE } from "./layout.js";

/** What determines all that is written to a partial folder. A folder that has this file is pare's, and may be gone on with. */
const RUN_FILE = "pare.run.json";
/** A line for each piece of work that is on the disk for good. */
const DONE_FILE = "pare.done.jsonl";

const MAX_RUN_BYTES = 10_000_000;
/** Some hundred bytes a weight matrix. */
const MAX_DONE_BYTES = 500_000_000;

/** Ends the names of data files until they are whole, so that what a killed process leaves opens nowhere. */
export const UNFINISHED = ".partial";

/** A piece of finished work: the tensors that it wrote, and what its author says of it. */
interface DoneWork {
  readonly tensors: readonly string[];
  readonly value: unknown;
}

/** What is finished of a run, remembered beside what it wrote. */
export interface RunJournal {
  /** What was there when it was opened. */
  readonly done: readonly DoneWork[];
  /** On the disk when this returns. */
  append(work: DoneWork): Promise<void>;
  close(): Promise<void>;
}

/** Whether a partial folder can be gone on with by the run that it names. */
export async function isUnfinished(partial: string): Promise<boolean> {
  try {
    return (await lstat(partial)).isDirectory() && (await lstat(join(partial, RUN_FILE))).isFile();
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/** Names the run whose data files lie in the folder; from now on it can be gone on with. */
export async function beginRun(partial: string, run: string): Promise<RunJournal> {
  const journal = await openJournal(partial);
  await replaceFile(join(partial, RUN_FILE), run);
  return journal;
}

/**
 * Goes on with what an earlier run of this description left, which may have stopped anywhere, also while the folder was
 * being finished; undefined where there is no such run.
 */
export async function continueRun(
  partial: string,
  run: string,
  shards: readonly string[],
): Promise<RunJournal | undefined> {
  if (!(await isUnfinished(partial))) return undefined;
  const found = await readSmallFile(partial, RUN_FILE, MAX_RUN_BYTES);
  if (found === undefined || new TextDecoder().decode(found) !== run) return undefined;
  const left = new Set(await readdir(partial));
  if (!shards.every((name) => left.has(name) || left.has(name + UNFINISHED))) return undefined;
  // First of all, so that the folder never opens as a checkpoint while its files get their unfinished names back.
  await rm(join(partial, CONFIG_FILE), { force: true });
  for (const name of shards) {
    if (!left.has(name + UNFINISHED)) await rename(join(partial, name), join(partial, name + UNFINISHED));
  }
  const kept = new Set([RUN_FILE, DONE_FILE, ...shards.map((name) => name + UNFINISHED)]);
  for (const name of await readdir(partial)) {
    if (!kept.has(name)) await rm(join(partial, name), { recursive: true });
  }
  return openJournal(partial);
}

/** Forgets the run: what is left is a plain folder. */
export async function endRun(partial: string): Promise<void> {
  for (const name of [RUN_FILE, DONE_FILE]) await rm(join(partial, name), { force: true });
}

async function openJournal(partial: string): Promise<RunJournal> {
  const { done, length } = parseLines(await readSmallFile(partial, DONE_FILE, MAX_DONE_BYTES));
  const handle = await open(join(partial, DONE_FILE), "a");
  try {
    await handle.truncate(length);
  } catch (error) {
    await handle.close();
    throw error;
  }
  return {
    done,
    async append(work) {
      await handle.appendFile(`${JSON.stringify(work)}\n`);
      await handle.sync();
    },
    close: () => handle.close(),
  };
}

/** The whole lines of a journal and their length in bytes: the last one may have been cut off. */
function parseLines(bytes: Uint8Array = new Uint8Array()): { done: DoneWork[]; length: number } {
  const done: DoneWork[] = [];
  let length = 0;
  for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, length)) {
    const work = parseWork(new TextDecoder().decode(bytes.subarray(length, end)));
    if (!work) break;
    done.push(work);
    length = end + 1;
  }
  return { done, length };
}

function parseWork(line: string): DoneWork | undefined {
  let work: unknown;
  try {
    work = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (!isObject(work)) return undefined;
  const { tensors, value } = work;
  const isNames = Array.isArray(tensors) && tensors.every((name) => typeof name === "string");
  return isNames ? { tensors, value } : undefined;
}
