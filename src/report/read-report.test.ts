import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { madeGrid } from "../../test/support/study.js";
import { InputError } from "../errors.js";
import { readReport } from "./read-report.js";

const { study, cells } = madeGrid({ sparsities: [0.3, 0.5] });

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-report-"));
  await mkdir(join(folder, "cells"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it("reads a study as far as it has come", async () => {
  await writeFile(join(folder, "study.json"), JSON.stringify(study));
  expect((await readReport(folder)).data).toMatchObject({ cells: [], missing: { length: study.cells.length } });
  for (const cell of cells.slice(1)) await writeFile(join(folder, "cells", `${cell.id}.json`), JSON.stringify(cell));
  const { data } = await readReport(folder);
  expect(data.cells.map(({ id }) => id)).toEqual(cells.slice(1).map(({ id }) => id));
  expect(data.missing).toEqual(["magnitude 30%"]);
});

it("names the line of an item that cannot be read", async () => {
  const { id } = cells[0]!;
  await writeFile(join(folder, "study.json"), JSON.stringify(study));
  await writeFile(join(folder, "cells", `${id}.json`), JSON.stringify(cells[0]));
  await writeFile(join(folder, "cells", `${id}.items.jsonl`), '\n{"id": \n');
  await expect(readReport(folder)).rejects.toThrow(`${id}.items.jsonl: line 2 is not valid JSON`);
});

it("a folder of something else is no study", async () => {
  await expect(readReport(folder)).rejects.toThrow(InputError);
});
