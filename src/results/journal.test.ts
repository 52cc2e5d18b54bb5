import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { journalKey, openJournal } from "./journal.js";

let folder: string;
let file: string;
let next = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-journal-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A new journal's file, with this in it. */
async function write(content: string | Uint8Array): Promise<void> {
  file = join(folder, `${next++}.jsonl`);
  await writeFile(file, content);
}

const line = (key: string, value: unknown) => `${JSON.stringify({ key, value })}\n`;

test("what was put is there, at once and when it is opened again", async () => {
  file = join(folder, "new.jsonl");
  const values = { a: [1.5, null, "é\u2028\n"], b: { nested: true }, c: 0 };
  const first = await openJournal(file);
  for (const [key, value] of Object.entries(values)) first.put(key, value);
  for (const [key, value] of Object.entries(values)) expect(first.get(key)).toEqual(value);
  first.close();
  const second = await openJournal(file);
  for (const [key, value] of Object.entries(values)) expect(second.get(key)).toEqual(value);
  expect(second.get("d")).toBeUndefined();
  second.close();
});

test("what is only written is found when the file is opened again, and takes no memory before", async () => {
  await write(line("a", 1));
  const first = await openJournal(file);
  first.write("b", [2]);
  expect(first.get("a")).toBe(1);
  expect(first.get("b")).toBeUndefined();
  first.close();
  const second = await openJournal(file);
  expect(second.get("b")).toEqual([2]);
  second.close();
});

test("every entry is in the file before put returns: a kill loses nothing", async () => {
  await write("");
  const journal = await openJournal(file);
  journal.put("a", 1);
  expect(await readFile(file, "utf8")).toBe(line("a", 1));
  journal.close();
});

test("without a file it remembers", async () => {
  const journal = await openJournal(undefined);
  journal.put("a", 1);
  expect(journal.get("a")).toBe(1);
  journal.close();
});

test("cut anywhere, the entries that are whole are there, and what is put then is found again", async () => {
  const whole = Buffer.from(line("a", "é".repeat(3)) + line("b", [1, 2]));
  const ends = [whole.indexOf("\n") + 1, whole.length];
  for (let length = 0; length <= whole.length; length++) {
    await write(whole.subarray(0, length));
    const journal = await openJournal(file);
    expect(["a", "b"].filter((key) => journal.get(key) !== undefined)).toHaveLength(
      ends.filter((end) => end <= length).length,
    );
    journal.put("c", length);
    journal.close();
    const again = await openJournal(file);
    expect(again.get("c")).toBe(length);
    again.close();
    expect((await readFile(file)).subarray(0, length).equals(whole.subarray(0, length))).toBe(true);
  }
});

test("lines that are no entries are passed over", async () => {
  await write(`\n{}\nnull\n7\n"key"\n[]\n{"key":1,"value":1}\n{"key":"k"}\n{"key":\n\u0000\n${line("a", 1)}`);
  const journal = await openJournal(file);
  expect(journal.get("a")).toBe(1);
  expect(journal.get("k")).toBeUndefined();
  journal.close();
});

test("of two entries of a key the later counts", async () => {
  await write(line("a", 1) + line("a", 2));
  const journal = await openJournal(file);
  expect(journal.get("a")).toBe(2);
  journal.close();
});

test("lines that are longer than what is read at once", async () => {
  const long = "x".repeat(3 * 2 ** 20);
  await write(line("a", long) + line("b", 1) + line("c", long));
  const journal = await openJournal(file);
  expect([journal.get("a"), journal.get("b"), journal.get("c")]).toEqual([long, 1, long]);
  journal.close();
});

test("a line without end is passed over, whatever its size", async () => {
  await write(`${line("a", 1)}"${"x".repeat(2 ** 26)}"\n${line("b", 2)}`);
  const journal = await openJournal(file);
  expect([journal.get("a"), journal.get("b")]).toEqual([1, 2]);
  journal.close();
});

test("a file that cannot be read is an error, not an empty journal", async () => {
  await mkdir(join(folder, "directory.jsonl"));
  await expect(openJournal(join(folder, "directory.jsonl"))).rejects.toThrow("EISDIR");
});

test("a key is decided by all its parts and their order", () => {
  const keys = [
    ["a", [1, 2], null],
    ["a", [1], 2, null],
    ["a", [2, 1], null],
    ["a", [1, 2]],
    ["a", "[1,2]", null],
  ].map((parts) => journalKey(...parts));
  expect(new Set(keys).size).toBe(keys.length);
  expect(journalKey("a", [1, 2], null)).toBe(keys[0]);
});
