import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { loadItems } from "../../src/tasks/items.js";
import { builtInTaskNames, loadTask } from "../../src/tasks/load.js";
import type { ChoiceItem, Item, Task } from "../../src/tasks/task.js";
import { oracle } from "../oracles.js";

const names = await builtInTaskNames();
const dataDirectory = oracle("datasets");
const why = dataDirectory ? "" : " (PARE_ORACLES is not set)";

/** Tasks for whose data no oracle folder has a copy. */
const WITHOUT_DATA = ["hellaswag"];
/** Tasks whose data come with pare. */
const carried = names.filter((name) => name.startsWith("stories-"));
const withData = names.filter((name) => !WITHOUT_DATA.includes(name) && !carried.includes(name));

describe.each(names)("task %s", (name) => {
  test("its file says what it is, where from, and under which licence", async () => {
    const task = await loadTask(name);
    expect(task.name).toBe(name);
    expect(task.licence).not.toBe("not said");
    expect(task.source).toMatch(/^https:\/\//);
  });
});

/** What must hold of the items of every task, with and without examples. */
async function checkItems(name: string): Promise<void> {
  const task = await loadTask(name);
  const plain = await loadItems(task, { dataDirectory, fewShot: 0 });
  expect(plain.items.length).toBeGreaterThan(0);
  const examples = await loadItems(task, { dataDirectory, fewShot: 2, limit: 100 });
  for (const [i, item] of plain.items.entries()) {
    for (const text of textsBefore(item)) expect(text, item.id).toMatch(/\S$/);
    expect(item.references.length, item.id).toBeGreaterThan(0);
    for (const reference of item.references) expect(reference, item.id).toMatch(/\S/);
    const shown = examples.items[i];
    if (shown) checkExamples(item, shown, task);
  }
  if (task.kind !== "generate") return;
  for (const item of plain.items) expect(item.kind).toBe("generate");
}

function textsBefore(item: Item): string[] {
  return [item.prompt, item.chat, ...(item.kind === "generate" ? [] : item.contexts)];
}

/** Examples stand in front, and none of them asks what the item asks. */
function checkExamples(item: Item, shown: Item, { description, few_shot }: Task): void {
  const question = item.prompt.slice(description.length);
  expect(shown.index).toBe(item.index);
  expect(shown.prompt.endsWith(question), item.id).toBe(true);
  expect(shown.chat.endsWith(item.chat.slice(description.length)), item.id).toBe(true);
  const front = shown.prompt.slice(0, -question.length);
  expect(front.length, item.id).toBeGreaterThan(description.length);
  expect(front.slice(description.length).startsWith(question), item.id).toBe(false);
  expect(front, item.id).not.toContain(few_shot.separator + question);
}

describe("items of the tasks whose data come with pare", () => {
  test.each(carried)("%s", checkItems);
});

describe.skipIf(!dataDirectory)(`items of the other tasks${why}`, () => {
  test.each(withData)("%s", { timeout: 60_000 }, checkItems);
});

interface Generation {
  readonly task: string;
  readonly index: number;
  readonly style: "plain" | "chat";
  readonly prompt: string;
  readonly max_new_tokens: number;
  readonly references: readonly string[];
}

interface Choices {
  readonly task: string;
  readonly index: number;
  readonly context: string;
  readonly choices: readonly string[];
  readonly gold: number;
}

const lines = <T>(file: string): T[] =>
  readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as T);

describe.skipIf(!dataDirectory)(`prompts that the oracles were made with${why}`, () => {
  test.each(["squad", "triviaqa", "alpaca", "xsum", "samsum"])("%s", async (name) => {
    const task = await loadTask(name);
    const { items } = await loadItems(task, { dataDirectory });
    const byIndex = new Map(items.map((item) => [item.index, item]));
    const cases = lines<Generation>(oracle("oracles", "generation.jsonl")!).filter((line) => line.task === name);
    expect(cases).toHaveLength(48);
    for (const { index, style, prompt, references, max_new_tokens } of cases) {
      const item = byIndex.get(index)!;
      expect(item.references).toEqual(references);
      expect(task).toMatchObject({ max_new_tokens });
      if (style === "plain") expect(item.prompt).toBe(prompt);
      // SmolLM2's template around the user's message.
      else
        expect(prompt.endsWith(`<|im_start|>user\n${item.chat}<|im_end|>\n<|im_start|>assistant\n`), item.id).toBe(
          true,
        );
    }
  });

  test.each([
    ["arc_easy", "arc_easy"],
    ["piqa", "piqa"],
    ["lambada", "lambada_openai"],
  ])("%s", async (name, oracleName) => {
    const { items } = await loadItems(await loadTask(name), { dataDirectory });
    const byIndex = new Map(items.map((item) => [item.index, item as ChoiceItem]));
    const cases = lines<Choices>(oracle("oracles", "choices.jsonl")!).filter((line) => line.task === oracleName);
    expect(cases).toHaveLength(40);
    for (const { index, context, choices, gold } of cases) {
      expect(byIndex.get(index)).toMatchObject({ contexts: choices.map(() => context), choices, gold });
    }
  });
});
