import { describe, expect, test } from "vitest";
import type { TaskRecord } from "../task-evaluation/evaluate-tasks.js";
import type { MetricSummary, TaskSummary } from "../task-evaluation/summary.js";
import { describeTasks } from "./tasks-text.js";

const alone: MetricSummary = {
  items: 50,
  base: null,
  compressed: 0.25,
  baseStandardError: null,
  compressedStandardError: 0.06,
  baseInterval: null,
  compressedInterval: [0.15, 0.38],
  difference: null,
  interval: null,
  p: null,
  pHolm: null,
  test: null,
  recovery: null,
  flips: null,
};
const compared: MetricSummary = {
  ...alone,
  base: 0.5,
  baseStandardError: 0.07,
  baseInterval: [0.37, 0.63],
  difference: -0.25,
  interval: [-0.35, -0.15],
  p: 0.00001,
  pHolm: 0.0002,
  test: "mcnemar-exact",
  recovery: 0.5,
  flips: { rightToWrong: 1203, wrongToRight: 4 },
};
const permuted: MetricSummary = { ...compared, p: 0.0421, pHolm: null, test: "permutation", flips: null };
const text = {
  tokens: 123_456,
  perplexity: { base: 2.5, compressed: 3, ratio: 1.2, ratioStandardError: 0.034 },
  jsd: { mean: 0.01234, standardError: 0.00056, meanBits: 0.0178 },
  kl: { mean: 0.0456, standardError: 0.0078 },
  sameTop1: { mean: 0.987, standardError: 0.01 },
};
const record: TaskRecord = {
  kind: "generate",
  version: 2,
  files: [],
  definition: { path: "t.yaml", sha256: "0" },
  items: 50,
  rows: 100,
  limit: 50,
  fewShot: 5,
  seed: 0,
  chat: false,
  systemPrompt: null,
  bos: "tokenizer",
  truncated: 0,
  sampling: null,
  maxNewTokens: 32,
};
const describeOne = (summary: TaskSummary, changes: Partial<TaskRecord> = {}) =>
  describeTasks({ squad: summary }, { squad: { ...record, ...changes } });

test("a model alone: its scores and their intervals, and nothing of a comparison", () => {
  const shown = describeOne({ exact_match: alone, f1: { ...alone, compressed: 0.5 } });
  expect(shown.split("\n\n")[0]!.split("\n")).toEqual([
    "task   metric        score    95% interval",
    "squad  exact_match  0.2500  0.150 to 0.380",
    "       f1           0.5000  0.150 to 0.380",
  ]);
  expect(shown).not.toMatch(/base|flips|p:/);
});

describe("a comparison", () => {
  test("of one task needs no correction", () => {
    const [table, notes] = describeOne({ exact_match: compared, f1: permuted }).split("\n\n");
    expect(table!.split("\n")).toEqual([
      "task   metric         base  compressed   difference (95% interval)        p      flips",
      "squad  exact_match  0.5000      0.2500  -0.2500 (-0.350 to -0.150)  <0.0001  1,203 / 4",
      "       f1           0.5000      0.2500  -0.2500 (-0.350 to -0.150)   0.0421",
    ]);
    expect(notes).toContain("McNemar's exact test for 0/1 scores, else by the paired permutation test");
    expect(notes).not.toContain("Holm");
  });

  test("of several says what was corrected", () => {
    const summary = { acc: compared };
    const shown = describeTasks({ a: summary, b: summary }, { a: record, b: record });
    expect(shown).toMatch(/^task .* p {2}p \(Holm\) +flips\na .* <0\.0001 +0\.0002 +1,203 \/ 4$/m);
    expect(shown).toContain("adjusted for 2 tasks");
    expect(shown).not.toContain("permutation");
  });

  test("of metrics without flips says nothing of them", () => {
    const shown = describeOne({ rouge1: permuted });
    expect(shown).not.toMatch(/flips|McNemar/);
    expect(shown).toContain("p: of no difference, by the paired permutation test\n");
  });

  test("an interval of equal scores is none", () => {
    const same: MetricSummary = { ...permuted, difference: 0, interval: [0, 0], p: 1 };
    expect(describeOne({ f1: same })).toContain("0.0000 (-)  1.0000");
  });

  test("divergences on the task's text", () => {
    const shown = describeOne({
      f1: permuted,
      targetText: text,
      answerText: { ...text, sameTop1: { mean: null, standardError: null } },
    });
    expect(shown.split("\n\n")[2]!.split("\n")).toEqual([
      "task   text             tokens                JSD  KL(base‖compressed)  perplexity ratio  same top-1",
      "squad  references      123,456  0.01234 ± 0.00056      0.0456 ± 0.0078     1.200 ± 0.034      98.70%",
      "       base's answers  123,456  0.01234 ± 0.00056      0.0456 ± 0.0078     1.200 ± 0.034           -",
    ]);
  });
});

test("how the models were asked, and where their answers part", () => {
  expect(describeOne({ f1: alone }).split("\n").at(-1)).toBe(
    "squad (version 2): 50 items, 5 examples, no chat template, BOS by the tokenizer",
  );
  const sampling = { temperature: 0.7, seed: 0 };
  const shown = describeOne(
    { f1: permuted, firstDivergentToken: { same: 0.25, median: 7.5 } },
    { items: 1, fewShot: 1, chat: true, bos: "none", sampling, truncated: 1 },
  );
  expect(shown.split("\n").slice(-3)).toEqual([
    "squad (version 2): 1 item, 1 example, chat template, no BOS, drawn at temperature 0.7",
    "  1 prompt cut from the left to fit the model",
    "  both models' answers are the same for 25.0% of the items; the others part after 7.5 equal tokens (median)",
  ]);
  const same = describeOne({ f1: permuted, firstDivergentToken: { same: 1, median: null } });
  expect(same).toMatch(/the same for 100\.0% of the items$/);
});

test("lines fit into 120 columns for the tasks that come with pare", () => {
  const name = "stories-last-word"; // the longest
  const summary: TaskSummary = { exact_match_strict: compared, f1: permuted, targetText: text, answerText: text };
  const shown = describeTasks({ [name]: summary, b: summary }, { [name]: record, b: record });
  for (const line of shown.split("\n")) expect(line.length).toBeLessThanOrEqual(120);
});
