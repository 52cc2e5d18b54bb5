import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { SMALL, writeSyntheticStudy } from "../support/synthetic-study.js";
import { expectRefused, pare } from "./pare.js";

let folder: string;
let study: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-report-"));
  study = join(folder, "study");
  await writeSyntheticStudy(study, { ...SMALL, sparsities: [0.3, 0.5], layers: 2, items: 8 });
});
afterAll(() => rm(folder, { recursive: true }));

it("writes report.html into the study's folder and says so, below a table", async () => {
  const { code, stdout } = await pare(["report", study]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^model +/);
  expect(stdout.trimEnd().split("\n").at(-1)).toBe(join(study, "report.html"));
  const page = await readFile(join(study, "report.html"), "utf8");
  expect(page).toMatch(/^<!doctype html>/i);
  expect(page).toContain('<script type="application/json" id="report-data">');
  expect((await readdir(study)).filter((name) => name.includes("partial"))).toEqual([]);
});

it("writes where -o says, and prints JSON", async () => {
  const output = join(folder, "elsewhere.html");
  const { stdout } = await pare(["report", study, "-o", output, "--json"]);
  expect(JSON.parse(stdout)).toEqual({ output });
  expect(await readFile(output, "utf8")).toMatch(/<\/html>\s*$/);
});

it("prints Markdown", async () => {
  const { code, stdout } = await pare(["report", study, "--markdown"]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^### SmolLM2-135M: three pruning methods\n/);
  expect(stdout.match(/^\| (wanda|sparsegpt|magnitude) /gm)).toHaveLength(15);
});

it("refuses a folder that holds no study", async () => {
  await expectRefused(["report", folder], "study.json");
});
