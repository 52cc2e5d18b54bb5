import { createHash } from "node:crypto";
import { closeSync, createReadStream, openSync, writeSync } from "node:fs";
import { isMissing } from "../checkpoint/folder.js";

/**
 * What has been computed so far, by what determines it: a file to which a line is added for each result, so that a run
 * that was killed goes on from there and nothing is computed twice.
 */
export interface Journal {
  /** As a file says it, which may be a stranger's: check it before use. */
  get(key: string): unknown;
  /** `value` has to come back from JSON as it is: no NaN, nothing undefined. */
  put(key: string, value: unknown): void;
  /** As put, of what is large and will not be asked for again: a file has it, memory does not. */
  write(key: string, value: unknown): void;
  close(): void;
}

/** Longer lines are passed over; the figures of a continuation of 32,768 tokens take some 3 MiB. */
const MAX_LINE_BYTES = 2 ** 26;

/** The key of a result: equal parts, equal results. */
export function journalKey(...parts: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

/**
 * Opens or begins a journal; without a file it only remembers. What is no entry (a last line that a kill cut short, a line
 * from elsewhere) is passed over, and what it held is computed again. Nothing that stands in the file is ever changed.
 */
export async function openJournal(file: string | undefined): Promise<Journal> {
  const entries = new Map<string, unknown>();
  if (file === undefined) return rememberIn(entries);
  const isTorn = await readLines(file, (line) => {
    const entry = parseEntry(line);
    if (entry) entries.set(entry.key, entry.value);
  });
  const handle = openSync(file, "a");
  if (isTorn) writeSync(handle, "\n");
  const write = (key: string, value: unknown) => void writeSync(handle, `${JSON.stringify({ key, value })}\n`);
  return {
    ...rememberIn(entries),
    put(key, value) {
      entries.set(key, value);
      write(key, value);
    },
    write,
    close: () => closeSync(handle),
  };
}

/** A journal that is only a map. */
export function rememberIn(entries: Map<string, unknown>): Journal {
  const put = (key: string, value: unknown) => void entries.set(key, value);
  return { get: (key) => entries.get(key), put, write: put, close() {} };
}

/** Hands over every line that ends; true where the last one does not. A file that is not there has none. */
async function readLines(file: string, onLine: (line: string) => void): Promise<boolean> {
  let parts: Buffer[] = []; // of the line that has begun
  let size = 0;
  const add = (part: Buffer) => {
    size += part.length;
    if (size <= MAX_LINE_BYTES) parts.push(part);
  };
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: 2 ** 20 }) as AsyncIterable<Buffer>) {
      let begin = 0;
      for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, begin)) {
        add(chunk.subarray(begin, end));
        if (size <= MAX_LINE_BYTES) onLine(Buffer.concat(parts).toString());
        parts = [];
        size = 0;
        begin = end + 1;
      }
      if (begin < chunk.length) add(chunk.subarray(begin));
    }
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  return size > 0;
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
