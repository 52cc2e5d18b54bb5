import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { keysOf } from "./journal.js";
import { leastMemory, pare, stories } from "./pare.js";
import { writeWindows } from "./windows.js";

/** How often an evaluation is killed; 20 where time does not matter. */
const KILLS = Number(process.env["PARE_EVALUATE_KILLS"] ?? 4);

/** Of 256 tokens; four go through the models together. */
const WINDOWS = 32;

/** Milliseconds: a machine may have much else to do. */
const SLOW = 120_000;

let folder: string;
let args: readonly string[];
/** A run that nothing disturbed. */
let whole: { readonly results: unknown; readonly perToken: string; readonly journal: string };
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-resume-text-"));
  const windows = await writeWindows(join(folder, "windows.json"), WINDOWS, 256);
  const pruned = join(folder, "pruned");
  const compress = ["compress", stories, "--method", "magnitude", "--sparsity", "0.3", "-o", pruned];
  expect(await pare(compress)).toMatchObject({ code: 0 });
  const asked = ["evaluate", pruned, "--base", stories, "--data", windows, "--noise-floor"];
  // With the least memory that it takes, windows go through the models in several groups.
  args = [...asked, "--memory", `${await leastMemory(...asked)}`];
  const output = await mkdtemp(join(folder, "whole-"));
  expect(await pare(command(output))).toMatchObject({ code: 0 });
  whole = await resultsOf(output);
}, SLOW);
afterAll(() => rm(folder, { recursive: true, force: true }));

const command = (output: string) => [...args, "-o", output, "--per-token", join(folder, "tokens.jsonl")];

/** What a run leaves, without when it ran and how long it took. */
async function resultsOf(output: string) {
  const { date, seconds, ...results } = JSON.parse(await readFile(join(output, "results.json"), "utf8"));
  const journal = await readFile(join(output, "journal.jsonl"), "utf8");
  return { results, perToken: await readFile(join(folder, "tokens.jsonl"), "utf8"), journal };
}

describe("evaluating text", () => {
  test("has an entry for every batch of windows", () =>
    expect(keysOf(whole.journal)).toHaveLength((WINDOWS * 256) / 1024));

  test(`killed ${KILLS} times at random, it ends in the same figures, and computes no batch twice`, {
    timeout: SLOW * KILLS,
  }, async () => {
    for (let kill = 0; kill < KILLS; kill++) {
      const output = await mkdtemp(join(folder, "killed-"));
      const file = join(output, "journal.jsonl");
      const kept = () => (existsSync(file) ? keysOf(readFileSync(file, "utf8")) : []);
      // At random between two entries, or before the first.
      const entries = Math.floor((Math.random() * WINDOWS) / 4);
      let moment = Number.POSITIVE_INFINITY;
      await pare(command(output), {
        killWhen() {
          if (moment === Number.POSITIVE_INFINITY && existsSync(file) && kept().length >= entries) {
            moment = performance.now() + 300 * Math.random();
          }
          return performance.now() > moment;
        },
      });
      const before = kept();
      expect(before.length).toBeGreaterThanOrEqual(entries);
      expect(await pare(command(output))).toMatchObject({ code: 0 });
      const { journal, ...after } = await resultsOf(output);
      expect(after).toEqual({ results: whole.results, perToken: whole.perToken });
      expect(keysOf(journal).slice(0, before.length)).toEqual(before);
      expect(keysOf(journal)).toEqual(keysOf(whole.journal));
    }
  });

  test("a second run of the same command computes nothing", { timeout: SLOW }, async () => {
    const output = await mkdtemp(join(folder, "again-"));
    await writeFile(join(output, "journal.jsonl"), whole.journal);
    expect(await pare(command(output))).toMatchObject({ code: 0 });
    expect(await resultsOf(output)).toEqual(whole);
  });
});
