import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readStudy } from "./study-folder.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-study-folder-"));
  await mkdir(join(folder, "cells"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const [ONE, TWO, THREE] = ["0", "1", "2"].map((digit) => digit.repeat(16)) as [string, string, string];
const write = (name: string, value: unknown) => writeFile(join(folder, name), JSON.stringify(value));
const writeRecord = (more: Readonly<Record<string, unknown>> = {}) =>
  write("study.json", { schema: 1, models: [], cells: [{ id: ONE }, { id: TWO }, { id: THREE }], ...more });

test("cells in the order of the study, and those that failed", async () => {
  await writeRecord();
  await write(`cells/${THREE}.json`, { schema: 1, id: THREE });
  await write(`cells/${ONE}.json`, { schema: 1, id: ONE });
  await write(`cells/${TWO}.failed.json`, { schema: 1, id: TWO, error: "no room" });
  const { cells, failed } = await readStudy(folder);
  expect(cells.map(({ id }) => id)).toEqual([ONE, THREE]);
  expect(failed).toMatchObject([{ id: TWO, error: "no room" }]);
});

test.each<[string, Record<string, unknown>, RegExp]>([
  ["a newer pare's", { schema: 2 }, /study\.json: schema 2, of a newer pare/],
  ["no schema", { schema: "1" }, /no result of pare/],
  ["no cells", { cells: 3 }, /no list of cells/],
  ["a cell elsewhere", { cells: [{ id: "../../etc/passwd" }] }, /names no cell/],
])("refused: %s", async (_, more, message) => {
  await writeRecord(more);
  await expect(readStudy(folder)).rejects.toThrow(
    expect.objectContaining({ name: "InputError", message: expect.stringMatching(message) }),
  );
});

test("refused: no study, and a file that is no JSON", async () => {
  await expect(readStudy(join(folder, "cells"))).rejects.toThrow(/there is no study\.json/);
  await writeFile(join(folder, "study.json"), "{");
  await expect(readStudy(folder)).rejects.toThrow(/not valid JSON/);
});
