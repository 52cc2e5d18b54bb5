import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type LoadItemsOptions, loadItems } from "./items.js";
import { loadTask } from "./load.js";
import type { ChoiceItem } from "./task.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-items-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const GENERATE = `
kind: generate
prompt: "Q: {{ q }}\\nA:"
target: "{{ a }}"
max_new_tokens: 8
metrics: [exact_match]`;
const CHOICE = `
kind: choice
prompt: "{{ q }}"
choices: "{{ c }}"
gold: "{{ g }}"
metrics: [acc]`;

/** The items of a task with these lines over these rows. */
async function itemsOf(
  task: string,
  rows: readonly object[],
  options?: LoadItemsOptions,
  examples?: readonly object[],
) {
  const jsonl = (list: readonly object[]) => list.map((row) => JSON.stringify(row)).join("\n");
  await writeFile(join(folder, "rows.jsonl"), jsonl(rows));
  await writeFile(join(folder, "examples.jsonl"), jsonl(examples ?? []));
  const data = `data: { test: [rows.jsonl]${examples ? ", few_shot: [examples.jsonl]" : ""} }`;
  await writeFile(join(folder, "t.yaml"), `name: t\nversion: 1\nsummary: t\n${data}${task}`);
  return loadItems(await loadTask(join(folder, "t.yaml")), options);
}

describe("what an item is", () => {
  test("generate", async () => {
    const { items, files } = await itemsOf(`${GENERATE}\nchat_prompt: "{{ q }}"`, [
      { q: "1+1?", a: ["2", "two", "2"] },
    ]);
    expect(items).toEqual([
      {
        kind: "generate",
        id: "t/0",
        index: 0,
        prompt: "Q: 1+1?\nA:",
        chat: "1+1?",
        references: ["2", "two"],
        record: { q: "1+1?", a: ["2", "two", "2"] },
      },
    ]);
    expect(files.map(({ path }) => path)).toEqual([join(folder, "rows.jsonl")]);
  });

  test("choice", async () => {
    const { items } = await itemsOf(CHOICE, [{ q: "1+1?", c: ["1", "2"], g: 1 }]);
    expect(items).toMatchObject([
      { kind: "choice", contexts: ["1+1?", "1+1?"], choices: ["1", "2"], gold: 1, references: ["2"], chat: "1+1?" },
    ]);
  });

  test("choice by partial evaluation, examples in front of every context", async () => {
    const row = (n: number) => ({ q: [`Tom ${n}`, `Ann ${n}`], c: [`ran ${n}.`, `ran ${n}.`], g: 1 });
    const { items } = await itemsOf(CHOICE, [row(0), row(1)], { fewShot: 1 });
    expect((items as ChoiceItem[]).map(({ contexts }) => contexts)).toEqual([
      ["Ann 1 ran 1.\n\nTom 0", "Ann 1 ran 1.\n\nAnn 0"],
      ["Ann 0 ran 0.\n\nTom 1", "Ann 0 ran 0.\n\nAnn 1"],
    ]);
  });

  test("last-word", async () => {
    const task = '\nkind: last-word\nprompt: "{{ q }}"\ntarget: "{{ a }}"\nmetrics: [acc]';
    const { items } = await itemsOf(task, [{ q: "once upon a", a: "time" }]);
    expect(items).toMatchObject([{ kind: "last-word", contexts: ["once upon a"], choices: ["time"], gold: 0 }]);
  });

  test.each([
    ["an index as text", "", "1", 1],
    ["true", "", true, 1],
    ["false", "", false, 0],
    ["a label", '\nlabels: ["A", "B"]', "B", 1],
    ["a numeric label", '\nlabels: ["1", "2"]', 1, 0],
  ])("gold as %s", async (_, more, g, gold) => {
    const { items } = await itemsOf(CHOICE + more, [{ q: "q", c: ["x", "y"], g }]);
    expect(items).toMatchObject([{ gold }]);
  });

  test("rows that `where` leaves out keep their number; a limit counts items", async () => {
    const rows = Array.from({ length: 9 }, (_, i) => ({ q: `${i}?`, a: i === 3 ? "" : "x" }));
    const { items } = await itemsOf(`${GENERATE}\nwhere: a and index % 2 == 1`, rows, { limit: 2 });
    expect(items.map(({ index }) => index)).toEqual([1, 5]);
  });

  test("fields of a candidate replace the file's own", async () => {
    await writeFile(join(folder, "raw.json"), '[{"s": "a_b", "n": 1, "list": {"of": ["x", "y"]}}]');
    await writeFile(
      join(folder, "f.yaml"),
      `name: f\nversion: 1\nsummary: f\ndata:\n  test:\n    - none.jsonl\n    - file: raw.json\n      fields:\n` +
        `        q: "{{ s.split('_')[0] }}"\n        c: "{{ list.of }}"\n        g: "{{ n }}"${CHOICE}`,
    );
    const { items } = await loadItems(await loadTask(join(folder, "f.yaml")));
    expect(items).toMatchObject([
      { prompt: "a", choices: ["x", "y"], gold: 1, record: { q: "a", c: ["x", "y"], g: 1 } },
    ]);
  });
});

describe("few-shot examples", () => {
  const rows = Array.from({ length: 12 }, (_, i) => ({ q: `q${i}`, a: `a${i}` }));
  const examplesOf = (prompt: string) => prompt.split("\n\n").slice(0, -1);

  test("description, examples and prompt, in this order", async () => {
    const task = `${GENERATE}\ndescription: "Answer.\\n\\n"\nfew_shot: { count: 1, template: "{{ prompt }} <{{ target }}> {{ a }}" }`;
    const { items, fewShot } = await itemsOf(task, rows.slice(0, 2));
    expect(fewShot).toBe(1);
    expect(items.map(({ prompt }) => prompt)).toEqual([
      "Answer.\n\nQ: q1\nA: <a1> a1\n\nQ: q0\nA:",
      "Answer.\n\nQ: q0\nA: <a0> a0\n\nQ: q1\nA:",
    ]);
    expect(items[0]!.chat).toBe(items[0]!.prompt);
  });

  test("never the item itself, none twice, and all others when all are asked for", async () => {
    const { items } = await itemsOf(GENERATE, rows, { fewShot: 11 });
    for (const { index, prompt } of items) {
      const others = rows.filter((_, i) => i !== index).map(({ q, a }) => `Q: ${q}\nA: ${a}`);
      expect(examplesOf(prompt).sort()).toEqual(others.sort());
    }
  });

  test("another file's row that asks the same is left out", async () => {
    const { items, files } = await itemsOf(GENERATE, rows.slice(0, 3), { fewShot: 2 }, [...rows.slice(0, 3)].reverse());
    for (const { index, prompt } of items) expect(prompt).not.toContain(`a${index}`);
    expect(files).toHaveLength(2);
  });

  test("the seed decides, and the limit does not", async () => {
    const prompts = async (options: LoadItemsOptions) =>
      (await itemsOf(GENERATE, rows, { fewShot: 3, ...options })).items.map(({ prompt }) => prompt);
    const all = await prompts({});
    expect(await prompts({})).toEqual(all);
    expect(await prompts({ limit: 5 })).toEqual(all.slice(0, 5));
    expect(await prompts({ seed: 1 })).not.toEqual(all);
    expect(new Set(all.map((prompt) => examplesOf(prompt).join())).size).toBeGreaterThan(6);
  });

  test("more than there are", async () => {
    await expect(itemsOf(GENERATE, rows.slice(0, 3), { fewShot: 3 })).rejects.toThrow(
      `rows.jsonl: not enough rows for 3 examples beside ${join(folder, "rows.jsonl")}: line 1`,
    );
  });
});

describe("refused, naming the data's file and line and the task's line and key", () => {
  const good = { q: "q", a: "a", c: ["x", "y"], g: 0 };
  test.each<[string, string, object, string]>([
    ["a missing field", GENERATE, { question: "q", a: "a" }, "line 6: prompt: the template fails: there is no q"],
    [
      "a typo in a template",
      GENERATE.replace("{{ q }}", "{{ qq }}"),
      good,
      "line 6: prompt: the template fails: there is no qq (did you mean q?)",
    ],
    [
      "an unknown field as a target",
      GENERATE.replace("{{ a }}", "{{ aa }}"),
      good,
      "line 7: target: there is no aa (did you mean a?); there are: q, a, c, g",
    ],
    ["an empty target", GENERATE, { ...good, a: " \n" }, "line 7: target: it is empty"],
    ["no reference", GENERATE, { ...good, a: [] }, "line 7: target: it is empty"],
    ["a target of null", GENERATE, { ...good, a: null }, 'line 7: target: "null" is no text'],
    ["a gold out of range", CHOICE, { ...good, g: 2 }, "line 8: gold: 2 is out of range: there are 2 choices, 0 to 1"],
    ["a negative gold", CHOICE, { ...good, g: -1 }, "line 8: gold: -1 is out of range"],
    ["a gold without labels", CHOICE, { ...good, g: "B" }, 'line 8: gold: "B" is no index'],
    ["a fraction", CHOICE, { ...good, g: 0.5 }, 'line 8: gold: "0.5" is no index'],
    [
      "a gold that is no label",
      `${CHOICE}\nlabels: ["0", "1"]`,
      { ...good, g: "C" },
      'gold: "C" is not one of the labels "0", "1"',
    ],
    ["one choice", CHOICE, { ...good, c: ["x"] }, "line 7: choices: fewer than two choices"],
    ["an empty choice", CHOICE, { ...good, c: ["x", ""] }, "line 7: choices: it is empty"],
    [
      "contexts that are not as many as choices",
      CHOICE,
      { ...good, q: ["a", "b", "c"] },
      "line 6: prompt: 3 texts; it takes one, or one for each of 2 choices",
    ],
    ["an empty prompt", CHOICE, { ...good, q: "" }, "line 6: prompt: it is empty"],
  ])("%s", async (_, task, row, message) => {
    await expect(itemsOf(task, [good, row])).rejects.toThrow(
      expect.objectContaining({ name: "InputError", message: expect.stringContaining(message) }),
    );
    const culprit = message.includes("did you mean") ? 1 : 2; // a typo in the task is met at the first row
    await expect(itemsOf(task, [good, row])).rejects.toThrow(
      `${join(folder, "rows.jsonl")}: line ${culprit}: ${join(folder, "t.yaml")}: `,
    );
  });

  test("a template that is none, before any data is read", async () => {
    await expect(itemsOf(GENERATE.replace("{{ q }}", "{% if %}"), [])).rejects.toThrow(
      /t\.yaml: line 6: prompt.*: not a valid template/,
    );
  });
  test("no items", () =>
    expect(itemsOf(`${GENERATE}\nwhere: a == 'b'`, [good])).rejects.toThrow("rows.jsonl: no items for the task t"));
  test("no data file", async () => {
    await writeFile(
      join(folder, "n.yaml"),
      `name: n\nversion: 1\nsummary: n\ndata: { test: [nowhere.jsonl] }${GENERATE}`,
    );
    const task = await loadTask(join(folder, "n.yaml"));
    await expect(loadItems(task)).rejects.toThrow(
      `n.yaml: line 4: data.test: no such file: ${join(folder, "nowhere.jsonl")}`,
    );
  });
  test("no data folder for a built-in task", async () => {
    const task = await loadTask("squad");
    await expect(loadItems(task)).rejects.toThrow(
      /task squad: no data folder; name one by --data-dir or PARE_DATA and put squad-xquad\/xquad\.en\.json, xquad.* or squad.* from http/,
    );
    await expect(loadItems(task, { dataDirectory: folder })).rejects.toThrow(
      `task squad: no data in ${folder}; put squad-xquad`,
    );
  });
  test("stopped", async () => {
    await expect(itemsOf(GENERATE, [good], { signal: AbortSignal.abort() })).rejects.toThrow(
      expect.objectContaining({ name: "AbortError" }),
    );
  });
});
