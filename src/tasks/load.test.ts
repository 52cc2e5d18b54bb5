import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadTask } from "./load.js";

let folder: string;
let path: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-tasks-"));
  path = join(folder, "mine.yaml");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const lines = [
  "name: mine",
  "version: 1",
  "kind: generate",
  "summary: mine",
  "data: { test: [mine.jsonl] }",
  'prompt: "{{ question }}"',
  'target: "{{ answer }}"',
  "max_new_tokens: 8",
  "metrics: [exact_match]",
];

/** The task above with some lines replaced (by an empty text: left out), loaded. */
async function load(replaced: Readonly<Record<number, string>> = {}, more: readonly string[] = []) {
  await writeFile(path, [...lines.map((line, i) => replaced[i + 1] ?? line), ...more].join("\n"));
  return loadTask(path);
}

test("a task file, with what it leaves out", async () => {
  expect(await load()).toMatchObject({
    name: "mine",
    kind: "generate",
    data: { test: [{ file: "mine.jsonl" }] },
    few_shot: { count: 0, seed: 0, separator: "\n\n", template: "{{ prompt }} {{ target }}" },
    description: "",
    answer: "whole",
    stop: [],
    licence: "not said",
    folder,
    file: { path, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
  });
});

describe("refused with file, line and key", () => {
  test.each<[string, Record<number, string>, string[], string]>([
    [
      "a typo in a key",
      { 6: 'promt: "{{ question }}"' },
      [],
      "line 6: promt: a task of kind generate has no such key here (did you mean prompt?)",
    ],
    [
      "a key of another kind",
      {},
      ['choices: "{{ a }}"'],
      "line 10: choices: a task of kind generate has no such key here",
    ],
    [
      "a typo further in",
      {},
      ["few_shot:", "  sead: 1"],
      "line 11: few_shot.sead: a task of kind generate has no such key here (did you mean seed?)",
    ],
    [
      "a typo in a metric",
      { 9: "metrics:\n  - f1\n  - exact_mach" },
      [],
      'line 11: metrics[1]: "exact_mach" is not one of exact_match, exact_match_strict, f1, rouge1',
    ],
    ["the hint for it", { 9: "metrics: [exact_mach]" }, [], "(did you mean exact_match?)"],
    [
      "a typo in the kind",
      { 3: "kind: choise" },
      [],
      'line 3: kind: "choise" is not one of generate, choice, last-word (did you mean choice?)',
    ],
    ["no kind", { 3: "" }, [], "line 1: kind: is missing"],
    ["no prompt", { 6: "" }, [], "line 1: prompt: is missing"],
    [
      "a typo in the answer",
      {},
      ["answer: firstline"],
      'line 10: answer: "firstline" is not one of whole, first-line,',
    ],
    ["a number of another kind", { 8: "max_new_tokens: many" }, [], 'line 8: max_new_tokens: "many" is no number'],
    ["no tokens", { 8: "max_new_tokens: 0" }, [], "line 8: max_new_tokens: Too small"],
    ["no data", { 5: "data: { test: [] }" }, [], "line 5: data.test: Too small"],
    [
      "a candidate with a typo",
      { 5: "data: { test: [{ fil: a.jsonl }] }" },
      [],
      "line 5: data.test[0]: must be a file name, or {file, fields}",
    ],
    ["a carried file elsewhere", { 5: "data: { test: [{ carried: ../../secret.json }] }" }, [], "line 5: data.test[0]"],
    ["a name with a path", { 1: "name: ../mine" }, [], "line 1: name: must be letters, digits"],
    ["a list", Object.fromEntries(lines.map((_, i) => [i + 1, ""])), ["- name"], "no task: it has to consist of keys"],
    ["nothing", Object.fromEntries(lines.map((_, i) => [i + 1, ""])), [], "no task: it has to consist of keys"],
  ])("%s", async (_, replaced, more, message) => {
    await expect(load(replaced, more)).rejects.toThrow(
      expect.objectContaining({ name: "InputError", message: expect.stringContaining(message) }),
    );
    await expect(load(replaced, more)).rejects.toThrow(path);
  });
});

describe("YAML is read strictly", () => {
  const bomb = [
    "a: &a [x, x]",
    ...Array.from({ length: 12 }, (_, i) => `a${i}: &a${i} [${i ? "" : "*a, *a"}${i ? `*a${i - 1}, *a${i - 1}` : ""}]`),
  ];
  test.each<[string, Record<number, string>, string[], RegExp]>([
    ["a tab", { 6: "\tprompt: x" }, [], /line 6: not valid YAML: /],
    ["an open quote", { 6: 'prompt: "{{ question }}' }, [], /line \d+: not valid YAML: Missing closing "quote/],
    ["braces without quotes", { 6: "prompt: {{ question }}" }, [], /line 6: not valid YAML: /],
    ["a key twice", {}, ["name: again"], /line 10: not valid YAML: Map keys must be unique/],
    ["two documents", {}, ["---", "name: other"], /line \d+: not valid YAML: /],
    ["a tag of its own", { 6: "prompt: !!js/function 'x'" }, [], /line 6: not valid YAML: Unresolved tag/],
    ["aliases", {}, bomb, /line 11: aliases .* are not allowed/],
    ["nesting that tires the parser", {}, [`deep: ${"[".repeat(50_000)}`], /not (valid|readable) YAML: /],
  ])("%s", async (_, replaced, more, message) => {
    await expect(load(replaced, more)).rejects.toThrow(
      expect.objectContaining({ name: "InputError", message: expect.stringMatching(message) }),
    );
  });

  test("more than a task file has", async () => {
    await expect(load({}, [`# ${"x".repeat(300_000)}`])).rejects.toThrow(/mine\.yaml: \d+ bytes, more than/);
  });
});

describe("names", () => {
  test("a typo", () =>
    expect(loadTask("sqaud")).rejects.toThrow(/task "sqaud": there is no such built-in task \(did you mean squad\?\)/));
  test("a path is no name", () =>
    expect(loadTask("../builtin/squad")).rejects.toThrow(/there is no such built-in task/));
  test("no file", () => expect(loadTask("./none.yaml")).rejects.toThrow("./none.yaml: no such task file"));
  test("a folder", () => expect(loadTask(`${folder}/../.yaml`)).rejects.toThrow("no such task file"));
});
