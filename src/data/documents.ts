import { isObject } from "../checkpoint/json.js";
import { InputError } from "../errors.js";
import { decodeUtf8, readBytes } from "./bytes.js";
import { readParquetTexts } from "./parquet.js";
import type { SourceFile } from "./source.js";

/** What a data file holds: texts, or windows of token ids. */
export type FileContent = (
  | { readonly kind: "documents"; readonly documents: string[] }
  | { readonly kind: "windows"; readonly windows: Int32Array[] }
) & { readonly file: SourceFile };

/** The endings that readDataFile knows. */
const DATA_FILE_ENDINGS = [".txt", ".raw", ".md", ".json", ".json.gz", ".jsonl", ".jsonl.gz", ".parquet"] as const;

const MAX_ID = 2 ** 31 - 1;

/**
 * Reads a data file by its ending:
 * - `.txt`, `.raw`, `.md`: one document, the text as it is;
 * - `.json`: a list of strings or of records, or `{"windows": [[ids], ...]}`; one record a line is understood too, as
 *   C4's files have it;
 * - `.jsonl`: a string or a record a line;
 * - `.parquet`: the column `text`;
 * - `.json.gz`, `.jsonl.gz`: the same, packed.
 * A record has a `text`, or Alpaca's `instruction`, `input` and `output`, whose texts are joined by line ends.
 * Throws InputError that names the file, the line or the entry, and what is wrong with it.
 */
export async function readDataFile(path: string, signal?: AbortSignal): Promise<FileContent> {
  const ending = endingOf(path);
  switch (ending) {
    case ".txt":
    case ".raw":
    case ".md": {
      const reader = readBytes(path, signal);
      const document = decodeUtf8(await reader.whole(), path);
      return { kind: "documents", documents: [document], file: { path, sha256: reader.sha256() } };
    }
    case ".jsonl":
    case ".jsonl.gz":
      return readJsonLines(path, signal);
    case ".json":
    case ".json.gz":
      return (await holdsRecordALine(path, signal)) ? readJsonLines(path, signal) : readJson(path, signal);
    case ".parquet":
      return { kind: "documents", ...(await readParquetTexts(path, signal)) };
    default:
      throw new InputError(`${path}: unknown kind of file; give one of ${DATA_FILE_ENDINGS.join(", ")}`);
  }
}

const endingOf = (path: string): string | undefined =>
  /\.(?:jsonl?(?:\.gz)?|txt|raw|md|parquet)$/i.exec(path)?.[0].toLowerCase();

async function readJsonLines(path: string, signal: AbortSignal | undefined): Promise<FileContent> {
  const reader = readBytes(path, signal);
  const documents: string[] = [];
  let number = 0;
  for await (const line of reader.lines()) {
    const where = `${path}: line ${++number}`;
    const json = decodeUtf8(line, where);
    if (json.trim() !== "") documents.push(textOf(parse(json, where), where));
  }
  return { kind: "documents", documents, file: { path, sha256: reader.sha256() } };
}

async function readJson(path: string, signal: AbortSignal | undefined): Promise<FileContent> {
  const reader = readBytes(path, signal);
  const json = parse(decodeUtf8(await reader.whole(), path), path);
  const file = { path, sha256: reader.sha256() };
  if (Array.isArray(json)) {
    return { kind: "documents", documents: json.map((entry, i) => textOf(entry, `${path}: entry ${i}`)), file };
  }
  if (isObject(json) && "windows" in json) return { kind: "windows", windows: windowsOf(json["windows"], path), file };
  throw new InputError(`${path}: neither a list of texts nor {"windows": [[ids], ...]}`);
}

/** Whether a .json file is one record a line: its first line is a whole record and not all there is. */
async function holdsRecordALine(path: string, signal: AbortSignal | undefined): Promise<boolean> {
  let first: unknown;
  try {
    for await (const line of readBytes(path, signal).lines()) {
      if (first !== undefined) return true;
      first = JSON.parse(line.toString("utf8"));
      if (!isObject(first) || "windows" in first) return false;
    }
  } catch (error) {
    // No JSON, or a line that is longer than any record's: the file is read as a whole, which says what is wrong with it.
    if (error instanceof SyntaxError || error instanceof InputError) return false;
    throw error;
  }
  return first !== undefined;
}

function parse(json: string, where: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new InputError(`${where}: no JSON: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

function textOf(entry: unknown, where: string): string {
  if (typeof entry === "string") return entry;
  if (isObject(entry)) {
    const { text, instruction, input, output } = entry;
    if (typeof text === "string") return text;
    const parts = [instruction, input, output].filter((part) => typeof part === "string" && part !== "");
    if (typeof instruction === "string" && typeof output === "string") return parts.join("\n");
  }
  throw new InputError(`${where}: neither a string nor a record with "text", or with "instruction" and "output"`);
}

function windowsOf(value: unknown, path: string): Int32Array[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw new InputError(`${path}: "windows" must be a list of at least one list of token ids`);
  }
  return value.map((window: unknown, w) => {
    if (!Array.isArray(window) || window.length === 0) {
      throw new InputError(`${path}: window ${w} must be a list of at least one token id`);
    }
    return Int32Array.from(window as unknown[], (id, i) => {
      if (typeof id === "number" && Number.isInteger(id) && id >= 0 && id <= MAX_ID) return id;
      throw new InputError(
        `${path}: window ${w}, position ${i}: ${JSON.stringify(id)} is no token id (0 to ${MAX_ID})`,
      );
    });
  });
}
