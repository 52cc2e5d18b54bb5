import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { keysOf } from "./journal.js";
import { pare, stories } from "./pare.js";

let folder: string;
let pruned: string;
let other: string;
/** A run that nothing disturbed: its files, and how its journal grew. */
let whole: Results;
let journal: Buffer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-resume-"));
  pruned = await prune("0.2");
  other = await prune("0.3");
  const output = await mkdtemp(join(folder, "whole-"));
  await evaluateInto(output);
  whole = await resultsOf(output);
  journal = await readFile(join(output, "journal.jsonl"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function prune(sparsity: string): Promise<string> {
  const output = join(folder, `pruned-${sparsity}`);
  const args = ["compress", stories, "--method", "magnitude", "--sparsity", sparsity, "-o", output];
  expect(await pare(args)).toMatchObject({ code: 0 });
  return output;
}

const command = (output: string, model = pruned) =>
  ["evaluate", model, "--base", stories, "--task", "stories-last-word", "--limit", "12", "-o", output] as const;

async function evaluateInto(output: string, model = pruned): Promise<string> {
  const run = await pare(command(output, model));
  expect(run).toMatchObject({ code: 0 });
  return run.stdout;
}

interface Results {
  readonly items: string;
  readonly results: Record<string, unknown>;
}

/** What a run leaves, without when it ran and how long it took. */
async function resultsOf(output: string): Promise<Results> {
  const results = JSON.parse(await readFile(join(output, "results.json"), "utf8"));
  delete results.date;
  delete results.seconds;
  return { items: await readFile(join(output, "items.jsonl"), "utf8"), results };
}

const lineCount = (file: string) => (existsSync(file) ? readFileSync(file, "utf8").split("\n").length - 1 : 0);

/** What is left is done, nothing twice, and it comes to the same. */
async function expectWhole(output: string, journalBefore: Buffer) {
  const after = await readFile(join(output, "journal.jsonl"));
  expect(after.subarray(0, journalBefore.length).equals(journalBefore)).toBe(true);
  expect(new Set(keysOf(after)).size).toBe(keysOf(after).length);
  expect(keysOf(after).sort()).toEqual(keysOf(journal).sort());
  expect(await resultsOf(output)).toEqual(whole);
}

test("the journal has an entry for every answer and every continuation", () => {
  // 12 prompts to two models, and 12 references and 12 of the base's answers to both at once.
  expect(keysOf(journal)).toHaveLength(48);
});

describe("a run that is killed goes on where it was", () => {
  test.each([1, 18])("once %i lines were written", async (lines) => {
    const output = join(folder, `killed-${lines}`);
    const file = join(output, "journal.jsonl");
    const { code, stdout } = await pare(command(output), { killWhen: () => lineCount(file) >= lines });
    expect({ code, stdout }).toEqual({ code: null, stdout: "" });
    expect(await readdir(output)).toEqual(["journal.jsonl"]);
    const before = await readFile(file);
    expect(keysOf(before).length).toBeLessThan(48);
    await evaluateInto(output);
    await expectWhole(output, before);
  });

  // Every place of the journal is one where a kill may have ended it: within a line, and within what is computed at once.
  test.each([0.02, 0.31, 0.77, 0.9999])("with %f of the journal's bytes", async (share) => {
    const output = await mkdtemp(join(folder, "cut-"));
    const before = journal.subarray(0, Math.floor(share * journal.length));
    await writeFile(join(output, "journal.jsonl"), before);
    await evaluateInto(output);
    await expectWhole(output, before);
  });

  test("by Ctrl-C too, which says so", async () => {
    const output = join(folder, "stopped");
    const file = join(output, "journal.jsonl");
    const { code, stderr } = await pare(command(output), { killWhen: () => lineCount(file) >= 5, signal: "SIGINT" });
    expect({ code, stderr }).toEqual({
      code: 130,
      stderr: `stopped; what is done is kept in ${output}. The same command goes on from there.\n`,
    });
    const before = await readFile(file);
    expect(keysOf(before).length).toBeGreaterThanOrEqual(5);
    await evaluateInto(output);
    await expectWhole(output, before);
  });

  test("just before its results were in place", async () => {
    const output = await mkdtemp(join(folder, "named-"));
    await writeFile(join(output, "journal.jsonl"), journal);
    await writeFile(join(output, "results.json.8c2e7f3a-1f0a-4f0e-9b57-0d7f5f0f1c11.partial"), "{");
    await evaluateInto(output);
    await expectWhole(output, journal);
    expect((await readdir(output)).filter((name) => name.endsWith(".partial"))).toEqual([]);
  });
});

describe("a folder that comes from a stranger", () => {
  const entries = () =>
    journal
      .toString()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { key: string; value: Record<string, unknown> });

  test("lines that are no entries are passed over", async () => {
    const output = await mkdtemp(join(folder, "foreign-"));
    const garbage = ["", "null", "[1]", '{"key":1,"value":2}', '{"key":"k"}', "\u0000\uffff", "[".repeat(100_000)];
    await writeFile(join(output, "journal.jsonl"), `${garbage.join("\n")}\n${journal}`);
    appendFileSync(join(output, "journal.jsonl"), `${garbage.join("\n")}\n`);
    const before = await readFile(join(output, "journal.jsonl"));
    await evaluateInto(output);
    expect((await readFile(join(output, "journal.jsonl"))).equals(before)).toBe(true);
    expect(await resultsOf(output)).toEqual(whole);
  });

  // What can be wrong with an answer, and with a continuation's figures.
  const ANSWERS: readonly object[] = [
    { ids: [] },
    { ids: ["4"] },
    { ids: Array(99).fill(4) },
    { ids: [4, 512] },
    { ids: [-1] },
    { ids: { 0: 4 } },
    { text: null },
    { stop: "bored" },
    { truncated: 1e9 },
  ];
  const FIGURES: readonly object[] = [
    { loss: [] },
    { loss: ["1"] },
    { loss: Array(99).fill(1) },
    { loss: {} },
    { greedy: 1 },
    { base: undefined },
    { base: { jsd: 1 } },
  ];

  test("values that are none are computed again", async () => {
    const output = await mkdtemp(join(folder, "spoilt-"));
    const lines = entries().map(({ key, value }, i) => {
      const ways = "ids" in value ? ANSWERS : FIGURES;
      const others = [null, "text", {}, []];
      const way = i % (ways.length + others.length);
      return JSON.stringify({ key, value: way < ways.length ? { ...value, ...ways[way] } : others[way - ways.length] });
    });
    await writeFile(join(output, "journal.jsonl"), `${lines.join("\n")}\n`);
    await evaluateInto(output);
    expect(await resultsOf(output)).toEqual(whole);
    expect(keysOf(await readFile(join(output, "journal.jsonl")))).toHaveLength(96);
    // What was computed again stands behind what was wrong, and is what the next run takes.
    await evaluateInto(output);
    expect(keysOf(await readFile(join(output, "journal.jsonl")))).toHaveLength(96);
  });
});

describe("models that share a folder", () => {
  let shared: string;
  let again: string;
  beforeAll(async () => {
    shared = join(folder, "shared");
    await mkdir(shared);
    await copyFile(
      join(folder, (await readdir(folder)).find((name) => name.startsWith("whole-"))!, "journal.jsonl"),
      join(shared, "journal.jsonl"),
    );
    await evaluateInto(shared, other);
    again = await evaluateInto(shared, pruned);
  });

  test("share what their base answered", async () => {
    // 12 answers less than two runs alone: the base's own.
    const keys = keysOf(await readFile(join(shared, "journal.jsonl")));
    expect(keys).toHaveLength(2 * 48 - 12);
    expect(new Set(keys).size).toBe(keys.length);
  });

  test("results are those of the last command, and the first one's come back without work", async () => {
    expect(await resultsOf(shared)).toEqual(whole);
    expect(again).toContain(pruned);
    await evaluateInto(shared, other);
    const { results } = await resultsOf(shared);
    expect(results["model"]).toMatchObject({ path: other });
    const alone = await mkdtemp(join(folder, "alone-"));
    await evaluateInto(alone, other);
    expect(await resultsOf(shared)).toEqual(await resultsOf(alone));
  });
});
