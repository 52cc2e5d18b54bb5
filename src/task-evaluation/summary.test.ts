import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { loadTask } from "../tasks/load.js";
import type { Task } from "../tasks/task.js";
import type { ItemResult } from "./item-results.js";
import { divergentTokensOf, metricsOf, summariseTasks, type TaskFigures, textOf } from "./summary.js";

const generate = await loadTask("stories-last-word"); // exact_match, f1
const lambada = await loadTask("lambada"); // acc

interface Pair {
  readonly n: number;
  readonly a: readonly number[];
  readonly b: readonly number[];
  readonly mean_a: number;
  readonly mean_b: number;
  readonly mcnemar?: { readonly only_a: number; readonly only_b: number; readonly p: number };
  readonly wilson_a?: { readonly low: number; readonly high: number };
}
const oracle: { pairs: readonly Pair[] } = JSON.parse(readFileSync("test/fixtures/statistics/oracle.json", "utf8"));
const binary = oracle.pairs.filter(({ mcnemar }) => mcnemar);

type Sides = Pick<ItemResult["scores"][string], "base" | "compressed">;

/** A task's figures of which only the scores matter, the same for all of its metrics. */
function figuresOf(task: Task, name: string, scores: readonly Sides[]): TaskFigures {
  const results = scores.map(
    (both): ItemResult => ({
      ...({} as ItemResult),
      base: both.base === null ? null : { kind: "last-word", logLikelihoods: [], greedy: [], chosen: null },
      compressed: { kind: "last-word", logLikelihoods: [], greedy: [], chosen: null },
      scores: Object.fromEntries(task.metrics.map((metric) => [metric, both])),
    }),
  );
  return { task: { ...task, name }, results, references: [], answers: [] };
}
const pairOf = ({ a, b }: Pair): Sides[] => a.map((base, i) => ({ base, compressed: b[i]! }));

test("there are cases", () => {
  expect(binary.length).toBeGreaterThanOrEqual(2);
});

test.each(binary)("$name: base against compressed as scipy and statsmodels have them", (pair) => {
  const summary = summariseTasks([figuresOf(lambada, "t", pairOf(pair))], 0)["t"]!;
  const [[metric, found]] = metricsOf(summary) as [ReturnType<typeof metricsOf>[number]];
  const { only_a, only_b, p } = pair.mcnemar!;
  expect(metric).toBe("acc");
  expect(found).toMatchObject({
    items: pair.n,
    test: "mcnemar-exact",
    flips: { rightToWrong: only_a, wrongToRight: only_b },
  });
  expect(found.base).toBeCloseTo(pair.mean_a, 12);
  expect(found.compressed).toBeCloseTo(pair.mean_b, 12);
  expect(found.difference).toBeCloseTo(pair.mean_b - pair.mean_a, 12);
  expect(found.recovery).toBeCloseTo(pair.mean_b / pair.mean_a, 12);
  expect(found.p).toBeCloseTo(p, 9);
  expect(found.pHolm).toBe(found.p); // of one task
  expect(found.baseInterval![0]).toBeCloseTo(pair.wilson_a!.low, 9);
  expect(found.baseInterval![1]).toBeCloseTo(pair.wilson_a!.high, 9);
});

describe("Holm's correction", () => {
  test("is over the first metric of each task, and no other", () => {
    const sets = [...binary, ...binary].slice(0, 3);
    const tasks = sets.map((pair, i) => figuresOf(generate, `t${i}`, pairOf(pair)));
    const summary = summariseTasks(tasks, 0);
    const first = sets.map((_, i) => metricsOf(summary[`t${i}`]!)[0]![1]);
    const p = first.map((one) => one.p!);
    // By hand: the smallest of three times 3, the next times 2, never falling, at most 1.
    const order = [0, 1, 2].sort((x, y) => p[x]! - p[y]!);
    let floor = 0;
    order.forEach((task, rank) => {
      floor = Math.max(floor, Math.min(1, p[task]! * (3 - rank)));
      expect(first[task]!.pHolm).toBeCloseTo(floor, 12);
    });
    for (const i of [0, 1, 2]) expect(metricsOf(summary[`t${i}`]!)[1]![1]).toMatchObject({ pHolm: null });
  });
});

describe("a model alone", () => {
  const alone = [1, 0, 1, 1].map((compressed) => ({ base: null, compressed }));
  const summary = summariseTasks([figuresOf(generate, "t", alone)], 0)["t"]!;

  test("has its score and interval, and nothing of a comparison", () => {
    expect(metricsOf(summary).map(([name]) => name)).toEqual(["exact_match", "f1"]);
    for (const [, one] of metricsOf(summary)) {
      expect(one).toMatchObject({
        items: 4,
        compressed: 0.75,
        compressedInterval: [expect.any(Number), expect.any(Number)],
      });
      const rest = [
        "base",
        "baseStandardError",
        "baseInterval",
        "difference",
        "interval",
        "p",
        "pHolm",
        "test",
        "recovery",
        "flips",
      ] as const;
      for (const key of rest) expect(one[key], key).toBeNull();
    }
  });
  test("and no divergences", () => {
    expect(textOf(summary, "targetText")).toBeUndefined();
    expect(divergentTokensOf(summary)).toBeUndefined();
  });
});

describe("a model against itself", () => {
  test("differs in nothing", async () => {
    const same = [1, 0, 0.5, 0.25].map((score) => ({ base: score, compressed: score }));
    const task: Task = { ...(await loadTask("stories-continue")), metrics: ["f1"] } as Task;
    const [[, f1]] = metricsOf(summariseTasks([figuresOf(task, "t", same)], 0)["t"]!) as [[string, object]];
    expect(f1).toMatchObject({ difference: 0, interval: [0, 0], p: 1, recovery: 1, flips: null });
  });
});

describe("what is measured on the text", () => {
  const column = [0.5, 0.5];
  const figures = { loss: [1, 2], greedy: false };
  const compared = {
    ...figures,
    base: { loss: [1, 1], greedy: true, jsd: column, kl: column, sameTop1: [true, false] },
  };

  test("stands beside the metrics, and is none of them", () => {
    const scores = [{ base: 1, compressed: 1 }];
    const summary = summariseTasks(
      [{ ...figuresOf(lambada, "t", scores), references: [compared], answers: [compared] }],
      0,
    )["t"]!;
    expect(metricsOf(summary).map(([name]) => name)).toEqual(["acc"]);
    for (const which of ["targetText", "answerText"] as const) {
      expect(textOf(summary, which)).toMatchObject({ tokens: 2, jsd: { mean: 0.5 }, sameTop1: { mean: 0.5 } });
      expect(textOf(summary, which)!.perplexity.ratio).toBeCloseTo(Math.exp(0.5), 12);
    }
    expect(divergentTokensOf(summary)).toBeUndefined(); // nothing was generated
  });

  test.each([
    [[null, null], { same: 1, median: null }],
    [[null, 3, 9, null], { same: 0.5, median: 6 }],
    [[4, 0, 2], { same: 0, median: 2 }],
  ])("first divergent tokens %j", (places, expected) => {
    const answer = { kind: "generate", text: "", prediction: "", ids: [], stop: "end" } as const;
    const { results, ...rest } = figuresOf(
      generate,
      "t",
      places.map(() => ({ base: 1, compressed: 1 })),
    );
    const summary = summariseTasks(
      [
        {
          ...rest,
          results: results.map((result, i) => ({
            ...result,
            base: answer,
            compressed: answer,
            firstDivergentToken: places[i]!,
          })),
        },
      ],
      0,
    )["t"]!;
    expect(divergentTokensOf(summary)).toEqual(expected);
  });
});
