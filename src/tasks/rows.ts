import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type DataRecord, readRecords } from "../data/records.js";
import type { SourceFile } from "../data/source.js";
import { InputError } from "../errors.js";
import { isFile } from "../files.js";
import { resolveDataFile } from "../hub/data-file.js";
import { DATASET_PREFIX } from "../hub/names.js";
import type { OnProgress } from "../progress.js";
import { compileTemplate } from "../text/template.js";
import type { Candidate } from "./schema.js";
import type { Task } from "./task.js";
import { compileValue } from "./value.js";

/** A row of a task's data: its fields, as the task names them. */
export interface Row {
  /** 0-based, in the file. */
  readonly index: number;
  readonly record: Readonly<Record<string, unknown>>;
  /** File and line, as errors name them. */
  readonly place: string;
}

/** The rows of a file that the task takes, in its order; made one by one, since a limit may need only the first. */
export interface Rows {
  readonly file: SourceFile;
  readonly length: number;
  /** Undefined where the task's `where` leaves the row out. Throws InputError with the place. */
  at(index: number): Row | undefined;
}

export interface RowsOptions {
  /** Where the data of built-in tasks lie. */
  readonly dataDirectory?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Of downloads. */
  readonly onProgress?: OnProgress | undefined;
}

/**
 * Reads a task's test data, or the data of its few-shot examples. Throws InputError where no candidate is there, saying
 * which file to put where.
 */
export async function readRows(task: Task, split: "test" | "few_shot", options: RowsOptions): Promise<Rows> {
  const candidates = task.data[split] ?? task.data.test;
  const { candidate, path, address = path } = await findCandidate(task, split, candidates, options);
  const { records, file } = await readRecords(path, options.signal);
  const fieldsOf = compileFields(task, split, candidate);
  const isTaken = compileCondition(task);
  return {
    file: { ...file, path: address },
    length: records.length,
    at(index) {
      const { record: raw, place: inFile } = records[index] as DataRecord;
      const place = `${path}: ${inFile}`;
      return withPlace(place, () => {
        const record = fieldsOf(raw);
        return isTaken(record, index) ? { index, record, place } : undefined;
      });
    },
  };
}

/** Puts a row's place in front of the error that it causes. */
export function withPlace<T>(place: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof InputError) throw new InputError(`${place}: ${error.message}`, { cause: error });
    throw error;
  }
}

async function findCandidate(
  task: Task,
  split: "test" | "few_shot",
  candidates: readonly Candidate[],
  options: RowsOptions,
): Promise<{ candidate: Candidate; path: string; address?: string }> {
  const folder = task.folder ?? options.dataDirectory;
  for (const candidate of candidates) {
    if ("file" in candidate && candidate.file.startsWith(DATASET_PREFIX)) {
      return { candidate, ...(await resolveDataFile(candidate.file, options)) };
    }
    const path = pathOf(candidate, folder);
    if (path !== undefined && (await isFile(path))) return { candidate, path };
  }
  const files = candidates.flatMap((candidate) => ("file" in candidate ? [candidate.file] : []));
  // Published copies differ in their form: each has a name of its own.
  const wanted = [files.slice(0, -1).join(", "), ...files.slice(-1)].filter((part) => part !== "").join(" or ");
  if (task.folder !== undefined) {
    throw new InputError(`${task.locate(`data.${split}`)}: no such file: ${join(task.folder, files[0] ?? "")}`);
  }
  throw new InputError(
    folder === undefined
      ? `task ${task.name}: no data folder; name one by --data-dir or PARE_DATA and put ${wanted} from ${task.source} there`
      : `task ${task.name}: no data in ${folder}; put ${wanted} from ${task.source} there`,
  );
}

function pathOf(candidate: Candidate, folder: string | undefined): string | undefined {
  if ("carried" in candidate) return fileURLToPath(new URL(`../../assets/${candidate.carried}`, import.meta.url));
  return folder === undefined ? undefined : join(folder, candidate.file);
}

function compileFields(task: Task, split: string, candidate: Candidate): (record: Row["record"]) => Row["record"] {
  if (!("fields" in candidate) || candidate.fields === undefined) return (record) => record;
  const where = task.locate(`data.${split}`);
  const fields = Object.entries(candidate.fields).map(
    ([name, value]) => [name, compileValue(value, `${where}: field ${name}`)] as const,
  );
  return (record) => Object.fromEntries(fields.map(([name, read]) => [name, read(record)]));
}

function compileCondition(task: Task): (record: Row["record"], index: number) => boolean {
  if (task.where === undefined) return () => true;
  const template = compileTemplate(`{% if ${task.where} %}yes{% endif %}`, task.locate("where"));
  return (record, index) => template.render({ index, ...record }) === "yes";
}
