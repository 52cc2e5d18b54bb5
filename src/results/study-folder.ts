import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { isMissing } from "../checkpoint/folder.js";
import { isObject } from "../checkpoint/json.js";
import { InputError } from "../errors.js";
import { type CellResult, type FailedCell, STUDY_SCHEMA, type StudyRecord } from "./study-results.js";

/** One JSON file of a study; a cell with a few hundred positions to read has some 200 kB. */
const MAX_FILE_BYTES = 256 * 2 ** 20;
const CELL_ID = /^[0-9a-f]{16}$/;

/** A study as far as it has come. */
export interface StudyResults {
  readonly record: StudyRecord;
  /** Finished cells, in the order of the study. */
  readonly cells: readonly CellResult[];
  /** Those of which the last attempt failed; an earlier one's results may still stand in `cells`. */
  readonly failed: readonly FailedCell[];
}

/** Reads a study's folder. Throws InputError where it is none, or one of a newer pare. */
export async function readStudy(directory: string): Promise<StudyResults> {
  const path = join(directory, "study.json");
  const record = (await readJson(path)) as StudyRecord | undefined;
  if (!record) throw new InputError(`${directory}: no study: there is no study.json; pare study makes one`);
  if (!Array.isArray(record.cells) || !Array.isArray(record.models)) {
    throw new InputError(`${path}: no study's: it has no list of cells and models; run the study again`);
  }
  const cells: CellResult[] = [];
  const failed: FailedCell[] = [];
  for (const { id } of record.cells) {
    if (!CELL_ID.test(id)) throw new InputError(`${path}: ${JSON.stringify(id)} names no cell; run the study again`);
    const cell = (await readJson(join(directory, "cells", `${id}.json`))) as CellResult | undefined;
    if (cell) cells.push(cell);
    const failure = (await readJson(join(directory, "cells", `${id}.failed.json`))) as FailedCell | undefined;
    if (failure) failed.push(failure);
  }
  return { record, cells, failed };
}

/** A file's content, whose shape is that of `schema`; undefined where it is not there. */
async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES) throw new InputError(`${path}: ${size} bytes, more than ${MAX_FILE_BYTES}`);
    text = await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new InputError(`${path}: not valid JSON; remove it and run the study again`, { cause });
  }
  const schema = isObject(value) ? value["schema"] : undefined;
  if (!Number.isSafeInteger(schema)) throw new InputError(`${path}: no result of pare: it names no schema`);
  if ((schema as number) > STUDY_SCHEMA) {
    throw new InputError(
      `${path}: schema ${schema}, of a newer pare than this, which knows ${STUDY_SCHEMA}; update it`,
    );
  }
  return value;
}
