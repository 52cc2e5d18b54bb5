import { join } from "node:path";
import { isObject, parseJsonObject } from "../checkpoint/json.js";
import { readModelFile } from "../checkpoint/model-file.js";
import type { SourceFile } from "../data/source.js";

export const RECORD_FILE = "pare.json";
/** pare.json of a 1,000-layer model stays below this. */
export const MAX_RECORD_BYTES = 10_000_000;

/** pare.json of a model, as it is there: it may come from anyone. Null where there is none. */
export async function readRecord(model: string): Promise<Record<string, unknown> | null> {
  const bytes = await readModelFile(model, RECORD_FILE, MAX_RECORD_BYTES);
  return bytes === undefined ? null : parseJsonObject(bytes, join(model, RECORD_FILE));
}

/** The first of these files that a model was calibrated on, as far as its record says that. */
export function calibratedOn(record: Record<string, unknown> | null, files: readonly SourceFile[]): string | undefined {
  const calibration = record?.["calibration"];
  const own = isObject(calibration) ? calibration["files"] : undefined;
  if (!Array.isArray(own)) return undefined;
  const hashes = new Set(own.map((file) => (isObject(file) ? file["sha256"] : undefined)));
  return files.find(({ sha256 }) => hashes.has(sha256))?.path;
}
