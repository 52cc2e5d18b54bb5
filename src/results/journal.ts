import { createHash } from "node:crypto";
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * What has been computed so far, by what determines it: a file to which a line is added for each result, so that a run
 * that was killed goes on from there and nothing is computed twice.
 */
export interface Journal {
  get(key: string): unknown;
  put(key: string, value: unknown): void;
  close(): void;
}

/** The key of a result: equal parts, equal results. */
export function journalKey(...parts: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

/**
 * Opens or begins a journal; without a file it only remembers. A last line that a kill cut short is dropped; a line that
 * is no entry is passed over, and what it held is computed again.
 */
export async function openJournal(file: string | undefined): Promise<Journal> {
  const entries = new Map<string, unknown>();
  if (file === undefined) {
    return { get: (key) => entries.get(key), put: (key, value) => void entries.set(key, value), close() {} };
  }
  await mkdir(dirname(file), { recursive: true });
  const bytes = await readFile(file).catch(() => Buffer.alloc(0));
  const end = bytes.lastIndexOf(0x0a) + 1;
  for (const line of bytes.toString("utf8", 0, end).split("\n")) {
    const entry = parseEntry(line);
    if (entry) entries.set(entry.key, entry.value);
  }
  const handle = openSync(file, "a");
  ftruncateSync(handle, end);
  return {
    get: (key) => entries.get(key),
    put(key, value) {
      // As it would be read back: what a resumed run sees is what this one sees.
      const line = JSON.stringify({ key, value });
      entries.set(key, (JSON.parse(line) as { value: unknown }).value);
      writeSync(handle, `${line}\n`);
    },
    close: () => closeSync(handle),
  };
}

function parseEntry(line: string): { key: string; value: unknown } | undefined {
  try {
    const entry: unknown = JSON.parse(line);
    if (typeof entry !== "object" || entry === null || !("key" in entry) || !("value" in entry)) return undefined;
    return typeof entry.key === "string" ? { key: entry.key, value: entry.value } : undefined;
  } catch {
    return undefined;
  }
}
