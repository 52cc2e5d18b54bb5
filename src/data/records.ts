import { parse as parseCsv } from "csv-parse/sync";
import { isObject } from "../checkpoint/json.js";
import { InputError } from "../errors.js";
import { oneLine } from "../text/one-line.js";
import { decodeUtf8, readBytes } from "./bytes.js";
import { readParquetRows } from "./parquet.js";
import type { SourceFile } from "./source.js";

/** A row of a data set for tasks: named fields, and where it stands. */
export interface DataRecord {
  readonly record: Readonly<Record<string, unknown>>;
  /** Inside its file, as errors name it: `line 812`. */
  readonly place: string;
}

/** The records of a file, in its order. */
export interface RecordFile {
  readonly records: readonly DataRecord[];
  readonly file: SourceFile;
}

/** The endings that readRecords knows; all but the last also with .gz. */
const RECORD_FILE_ENDINGS = [".jsonl", ".json", ".csv", ".tsv", ".parquet"] as const;

/** The largest test sets of language models have some hundred thousand items. */
const MAX_RECORDS = 1_000_000;
/** Nesting of a record; SQuAD as Hugging Face stores it has 3. */
const MAX_RECORD_DEPTH = 32;
const MAX_CSV_RECORD_CHARACTERS = 16 * 1024 ** 2;

/**
 * Reads the records of a data file by its ending:
 * - `.jsonl`: an object a line;
 * - `.json`: a list of objects, or of strings, each of which becomes `{ text }`; or the official SQuAD format, each
 *   question of which becomes `{ id, title, context, question, answers }`;
 * - `.csv`, `.tsv`: the first row names the columns;
 * - `.parquet`: a record a row;
 * - `.jsonl.gz`, `.json.gz`, `.csv.gz`, `.tsv.gz`: the same, packed.
 * Throws InputError that names the file, the line or the entry, and what is wrong with it.
 */
export async function readRecords(path: string, signal?: AbortSignal): Promise<RecordFile> {
  const ending = /\.(jsonl|json|csv|tsv)(?:\.gz)?$|\.(parquet)$/i.exec(path);
  switch ((ending?.[1] ?? ending?.[2])?.toLowerCase()) {
    case "jsonl":
      return readJsonLines(path, signal);
    case "json":
      return readJson(path, signal);
    case "csv":
      return readSeparated(path, ",", signal);
    case "tsv":
      return readSeparated(path, "\t", signal);
    case "parquet":
      return readParquet(path, signal);
    default:
      throw new InputError(
        `${path}: unknown kind of file; give one of ${RECORD_FILE_ENDINGS.join(", ")}, or packed by gzip (.gz)`,
      );
  }
}

async function readJsonLines(path: string, signal: AbortSignal | undefined): Promise<RecordFile> {
  const reader = readBytes(path, signal);
  const records: DataRecord[] = [];
  let number = 0;
  for await (const line of reader.lines()) {
    const place = `line ${++number}`;
    const json = decodeUtf8(line, `${path}: ${place}`);
    if (json.trim() !== "") records.push(recordOf(parseJson(json, `${path}: ${place}`), path, place));
    checkCount(records.length, path);
  }
  return { records, file: { path, sha256: reader.sha256() } };
}

async function readJson(path: string, signal: AbortSignal | undefined): Promise<RecordFile> {
  const reader = readBytes(path, signal);
  const json = parseJson(decodeUtf8(await reader.whole(), path), path);
  const file = { path, sha256: reader.sha256() };
  if (Array.isArray(json)) {
    checkCount(json.length, path);
    return { records: json.map((entry: unknown, i) => recordOf(entry, path, `entry ${i + 1}`)), file };
  }
  if (isObject(json) && Array.isArray(json["data"])) return { records: squadRecords(json["data"], path), file };
  throw new InputError(`${path}: neither a list of records nor SQuAD's {"data": [{"paragraphs": [...]}]}`);
}

/** The questions of SQuAD's official files (v1.1 and v2.0), article by article. */
function squadRecords(articles: readonly unknown[], path: string): DataRecord[] {
  const records: DataRecord[] = [];
  const part = (value: unknown, key: string, where: string): unknown => {
    if (isObject(value) && key in value) return value[key];
    throw new InputError(`${path}: ${where}: no "${key}", which SQuAD's format has there`);
  };
  const list = (value: unknown, key: string, where: string): unknown[] => {
    const found = part(value, key, where);
    if (Array.isArray(found)) return found;
    throw new InputError(`${path}: ${where}: "${key}" is no list`);
  };
  for (const [a, article] of articles.entries()) {
    const title = isObject(article) ? article["title"] : undefined;
    for (const [p, paragraph] of list(article, "paragraphs", `article ${a + 1}`).entries()) {
      const where = `article ${a + 1}, paragraph ${p + 1}`;
      const context = part(paragraph, "context", where);
      for (const [q, question] of list(paragraph, "qas", where).entries()) {
        const place = `${where}, question ${q + 1}`;
        const answers = list(question, "answers", place).map((answer) => part(answer, "text", place));
        const text = part(question, "question", place);
        const id = part(question, "id", place);
        records.push(recordOf({ id, title, context, question: text, answers }, path, place));
        checkCount(records.length, path);
      }
    }
  }
  return records;
}

async function readSeparated(path: string, delimiter: string, signal: AbortSignal | undefined): Promise<RecordFile> {
  const reader = readBytes(path, signal);
  const text = decodeUtf8(await reader.whole(), path);
  const file = { path, sha256: reader.sha256() };
  let rows: { record: Record<string, string>; info: { lines: number } }[];
  try {
    rows = parseCsv(text, {
      bom: true,
      columns: (names: string[]) => uniqueNames(names, path),
      delimiter,
      // Files with tabs between values do not quote, as a rule: a quote there is a quote.
      quote: delimiter === "\t" ? null : '"',
      skip_empty_lines: true,
      info: true,
      max_record_size: MAX_CSV_RECORD_CHARACTERS,
      to: MAX_RECORDS + 1,
    }) as unknown as typeof rows;
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${path}: not valid CSV: ${oneLine(error)}`, { cause: error });
  }
  checkCount(rows.length, path);
  return { records: rows.map(({ record, info }) => recordOf(record, path, `line ${info.lines}`)), file };
}

function uniqueNames(names: readonly string[], path: string): string[] {
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new InputError(`${path}: line 1: two columns are named ${JSON.stringify(twice)}`);
  return [...names];
}

async function readParquet(path: string, signal: AbortSignal | undefined): Promise<RecordFile> {
  const { rows, file } = await readParquetRows(path, undefined, signal);
  checkCount(rows.length, path);
  return { records: rows.map((row, i) => recordOf(plain(row), path, `row ${i + 1}`)), file };
}

/** Parquet's 64-bit whole numbers as numbers, where these hold them: templates know no others. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(plain);
  if (isObject(value)) return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
  return value;
}

function recordOf(value: unknown, path: string, place: string): DataRecord {
  if (typeof value === "string") return { record: { text: value }, place };
  if (!isObject(value)) throw new InputError(`${path}: ${place}: no record {...} with named fields`);
  if (isDeeper(value, MAX_RECORD_DEPTH)) {
    throw new InputError(`${path}: ${place}: nested deeper than ${MAX_RECORD_DEPTH} levels`);
  }
  return { record: value, place };
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}

function checkCount(count: number, path: string): void {
  if (count > MAX_RECORDS) throw new InputError(`${path}: more than ${MAX_RECORDS} records; give a part of it`);
}

function parseJson(json: string, where: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new InputError(`${where}: not valid JSON: ${oneLine(error)}`, { cause: error });
  }
}
