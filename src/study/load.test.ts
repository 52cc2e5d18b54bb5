import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadStudy, type StudyOverrides } from "./load.js";
import { studyTemplate } from "./template.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-load-study-"));
  await writeFile(join(folder, "prompts.jsonl"), '{"text":"a"}\n');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const LINES: readonly string[] = [
  "models: [./model]",
  "methods: [wanda]",
  "sparsities: [0.5]",
  "calibration: [c4, prompts.jsonl]",
  "data: [wikitext2]",
  "tasks: [squad, { task: mine.yaml, limit: 5 }]",
  "limit: 10",
];

/** The study above with some lines replaced, and more behind them. */
async function load(
  replaced: Readonly<Record<number, string>> = {},
  more: readonly string[] = [],
  overrides: StudyOverrides = {},
) {
  const path = join(folder, "mine.study.yaml");
  await writeFile(path, [...LINES.map((line, i) => replaced[i + 1] ?? line), ...more].join("\n"));
  return loadStudy(path, overrides);
}

test("what the command line says of all tasks and sources holds for those that say something else", async () => {
  const own = { 4: "calibration: [{ source: c4, samples: 9, sequence_length: 64 }, prompts.jsonl]" };
  expect(await load(own, [], { limit: 2, samples: 3, sequence_length: 32 })).toMatchObject({
    calibration: [
      { name: "c4", samples: 3, sequenceLength: 32 },
      { name: "prompts", samples: 3, sequenceLength: 32 },
    ],
    tasks: [{ limit: 2 }, { limit: 2 }],
  });
  expect(await load(own)).toMatchObject({
    calibration: [{ samples: 9 }, { samples: null }],
    tasks: [{ limit: 10 }, { limit: 5 }],
  });
});

test("a budget of what is not measured is refused", async () => {
  await expect(load({ 6: "budget: { task_loss: 0.1 }" })).rejects.toThrow(
    /line 6: budget: limits task_loss: add tasks/,
  );
  await expect(load({ 5: "budget: { jsd: 0.1 }" })).rejects.toThrow(/line 5: budget: limits jsd, .*: add data/);
});

test("short forms and defaults are written out, and files named from the study's folder", async () => {
  const half = { samples: null, sequenceLength: null, sampling: "default" };
  expect(await load()).toMatchObject({
    name: "mine.study",
    models: [{ name: "model", path: join(folder, "model") }],
    methods: [{ name: "wanda", options: {} }],
    calibration: [
      { name: "c4", source: "c4", ...half },
      { name: "prompts", source: join(folder, "prompts.jsonl"), ...half },
    ],
    seeds: [0],
    tasks: [
      { task: "squad", limit: 10 },
      { task: join(folder, "mine.yaml"), limit: 5 },
    ],
    noiseFloor: true,
    blocks: false,
    keep: "none",
  });
});

test("what is wrong on the command line is said to be there", async () => {
  const path = join(folder, "right.yaml");
  await writeFile(path, LINES.join("\n"));
  await expect(loadStudy(path, { sparsities: [2] })).rejects.toThrow(
    /^on the command line: sparsities\[0\]: must be below 1$/,
  );
});

test("the command line comes first", async () => {
  const path = join(folder, "over.yaml");
  await writeFile(path, LINES.join("\n"));
  expect(await loadStudy(path, { sparsities: [0.1], limit: 3, keep: undefined })).toMatchObject({
    sparsities: [0.1],
    tasks: [{ limit: 3 }, { limit: 3 }],
    keep: "none",
  });
});

describe("refused with file, line and key", () => {
  test.each<[string, Record<number, string>, string[], string]>([
    [
      "a misspelt key",
      { 2: "methds: [wanda]" },
      [],
      "line 2: methds: a study has no such key here (did you mean methods?)",
    ],
    [
      "a misspelt key further in",
      { 5: "data:\n  - wikitext2\n  - { source: c4, window: 4 }" },
      [],
      "line 7: data[1].window: a study has no such key here (did you mean windows?)",
    ],
    [
      "an unknown method",
      { 2: "methods: [wnda]" },
      [],
      'line 2: methods[0]: "wnda" is not one of magnitude, wanda, sparsegpt',
    ],
    ["the hint for it", { 2: "methods: [wnda]" }, [], "(did you mean wanda?)"],
    [
      "an option that the method does not have",
      { 2: "methods: [{ name: wanda, options: { damping: 0.1 } }]" },
      [],
      "line 2: methods[0].options: method wanda has no option damping",
    ],
    ["a sparsity out of range", { 3: "sparsities: [0.5, 1]" }, [], "line 3: sparsities[1]: must be below 1"],
    ["no pattern", { 3: "patterns: [half]" }, [], "line 3: patterns[0]: must be n:m, such as 2:4"],
    ["nothing to compress to", { 3: "sparsities: []" }, [], "line 3: sparsities: is missing, and so is patterns"],
    ["nothing to measure", { 5: "", 6: "", 7: "" }, [], "data: is missing, and so is tasks"],
    ["no models", { 1: "" }, [], "models: is missing"],
    ["an empty list", { 1: "models: []" }, [], "line 1: models: needs at least one entry"],
    [
      "a number for a name",
      { 1: "models: [5]" },
      [],
      "line 1: models[0]: must be a folder or org/name, or {path, name}",
    ],
    ["blocks without text", { 5: "" }, ["blocks: true"], "line 8: blocks: measures on the first data source"],
    ["a wrong choice", {}, ["keep: some"], 'line 8: keep: "some" is not one of none, all'],
    [
      "two sources of one name",
      { 5: "data: [prompts.jsonl, ./prompts.jsonl]" },
      [],
      "data: two entries are called prompts",
    ],
    [
      "a name that would leave the folder",
      { 5: "data: [{ source: c4, name: ../c4 }]" },
      [],
      "line 5: data[0].name: must be",
    ],
    ["a control character", { 5: 'data: ["a\\u001b[31m"]' }, [], "line 5: data[0]: must be one line"],
    [
      "a list for a study",
      Object.fromEntries(LINES.map((_, i) => [i + 1, ""])),
      ["- wanda"],
      "no study: it has to consist",
    ],
    ["a key twice", {}, ["limit: 3"], "line 8: not valid YAML: Map keys must be unique"],
  ])("%s", async (_, replaced, more, message) => {
    await expect(load(replaced, more)).rejects.toThrow(
      expect.objectContaining({ name: "InputError", message: expect.stringContaining(message) }),
    );
  });

  test("more than a study has", () =>
    expect(load({}, [`# ${"x".repeat(300_000)}`])).rejects.toThrow(/bytes, more than/));
});

describe("what comes with pare is right", () => {
  const examples = fileURLToPath(new URL("../../examples/", import.meta.url));
  test("the examples", async () => {
    const files = (await readdir(examples)).filter((name) => name.endsWith(".yaml"));
    expect(files.length).toBeGreaterThanOrEqual(3);
    for (const file of files) {
      const { name, methods } = await loadStudy(join(examples, file));
      expect(file).toBe(`${name}.yaml`);
      expect(methods.length).toBe(3);
    }
  });

  test("the file that pare init writes", async () => {
    const path = join(folder, "init.yaml");
    await writeFile(path, studyTemplate("study.schema.json"));
    expect(await loadStudy(path)).toMatchObject({
      patterns: ["2:4"],
      tasks: [{ limit: 200 }, { limit: 100 }],
    });
  });
});
