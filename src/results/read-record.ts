import { isObject } from "../checkpoint/json.js";
import { RECORD_FILE } from "../checkpoint/layout.js";
import { readModelJson } from "../checkpoint/model-file.js";
import type { SourceFile } from "../data/source.js";
import { EXCERPT } from "../data/sources.js";

/** pare.json of a 1,000-layer model stays below this. */
export const MAX_RECORD_BYTES = 10_000_000;

/** pare.json of a model, as it is there: it may come from anyone. Null where there is none. */
export async function readRecord(model: string): Promise<Record<string, unknown> | null> {
  return (await readModelJson(model, RECORD_FILE, MAX_RECORD_BYTES)) ?? null;
}

/**
 * The first file of this text that a model was calibrated on, as far as its record says that. The excerpt that pare carries is cut in two
 * halves.
 */
export function calibratedOn(
  record: Record<string, unknown> | null,
  { files, split }: { readonly files: readonly SourceFile[]; readonly split: string | null },
): string | undefined {
  if (split === EXCERPT) return undefined;
  const calibration = record?.["calibration"];
  const own = isObject(calibration) ? calibration["files"] : undefined;
  if (!Array.isArray(own)) return undefined;
  const hashes = new Set(own.map((file) => (isObject(file) ? file["sha256"] : undefined)));
  return files.find(({ sha256 }) => hashes.has(sha256))?.path;
}
