import { describe, expect, test } from "vitest";
import type { EvaluateResult } from "../evaluate.js";
import { checkGates, checkScoreGates, judge, missedGates, scoreGate } from "./gates.js";

describe("what is asked of a score", () => {
  test.each([
    ["squad.f1=0.5", { task: "squad", metric: "f1", limit: 0.5 }],
    ["my-task.v2.acc_norm=.75", { task: "my-task.v2", metric: "acc_norm", limit: 0.75 }],
    ["t.acc=0", { task: "t", metric: "acc", limit: 0 }],
  ])("%s", (text, expected) => expect(scoreGate(text)).toEqual([expected]));

  test("several", () => {
    expect(scoreGate("b.acc=1", scoreGate("a.acc=0")).map(({ task }) => task)).toEqual(["a", "b"]);
  });
  test.each(["squad", "squad.f1", "squad=1", "squad.f1=", "squad.f1=high", "squad.f1=Infinity", ".f1=1", "=1", ""])(
    "%j is none",
    (text) => expect(() => scoreGate(text)).toThrow("TASK.METRIC=SCORE"),
  );
});

describe("a gate of what is not measured", () => {
  test.each([
    [{ maxJsd: 1 }, { data: "x" }, "--max-jsd compares with a base"],
    [{ maxPerplexityRatio: 1 }, { base: "x", task: ["t"] }, "--max-perplexity-ratio is of text"],
    [{ minScore: scoreGate("t.acc=1") }, { data: "x" }, "--min-score is of a task"],
  ])("%j of %j", (gates, measured, message) => {
    expect(() => checkGates(gates, measured)).toThrow(
      expect.objectContaining({ name: "InputError", message: expect.stringContaining(message) }),
    );
  });

  const tasks = [
    { name: "squad", metrics: ["exact_match", "f1"] },
    { name: "arc_easy", metrics: ["acc"] },
  ];
  test("is found among the tasks' metrics", () => {
    expect(() => checkScoreGates([...scoreGate("squad.f1=1"), ...scoreGate("arc_easy.acc=1")], tasks)).not.toThrow();
    expect(() => checkScoreGates(scoreGate("squad.acc=1"), tasks)).toThrow(
      "--min-score squad.acc: not measured (did you mean squad.f1?); measured are squad.exact_match, squad.f1, arc_easy.acc",
    );
    expect(() => checkScoreGates(scoreGate("arc_eazy.acc=1"), tasks)).toThrow("did you mean arc_easy.acc?");
  });
});

describe("results against their gates", () => {
  const acc = (compressed: number | null) => ({ items: 3, compressed });
  const result = (jsd: number | null, ratio: number | null, nonFinite = 0, score: number | null = 0.5) =>
    ({
      data: {},
      jsd: { mean: jsd },
      perplexity: { ratio },
      nonFinite,
      tasks: { t: { acc: acc(score) } },
    }) as never as EvaluateResult;

  test("none", () => expect(judge({}, result(1, 1))).toBeUndefined());

  // A limit is met when it is reached.
  test.each([
    [{ maxJsd: 0.1 }, result(0.1, 1), true],
    [{ maxJsd: 0.1 }, result(0.1001, 1), false],
    [{ maxPerplexityRatio: 1.5 }, result(9, 1.5), true],
    [{ maxPerplexityRatio: 1.5 }, result(0, 1.6), false],
    [{ minScore: scoreGate("t.acc=0.5") }, result(9, 9), true],
    [{ minScore: scoreGate("t.acc=0.51") }, result(0, 1), false],
    [{ maxJsd: 1, minScore: scoreGate("t.acc=0.51") }, result(0, 1), false],
    [{ maxJsd: 1 }, result(null, 1), false],
    [{ maxPerplexityRatio: 1 }, result(0, null), false],
    [{ maxJsd: 1 }, result(0, 1, 0.01), false],
    [{ minScore: scoreGate("t.acc=0") }, result(0, 1, 0, null), false],
  ])("%j", (gates, measured, passed) => expect(judge(gates, measured)).toMatchObject({ passed }));

  test("what was missed is said in one line", () => {
    const gates = { maxJsd: 0.1, maxPerplexityRatio: 2, minScore: scoreGate("t.acc=0.75") };
    expect(missedGates(judge(gates, result(0.2, 1))!, 0)).toBe(
      "gate missed: mean JSD in nats is 0.2000, limit 0.1; t.acc is 0.5000, limit 0.75",
    );
    expect(missedGates(judge({ maxJsd: 1 }, result(0.2, 1, 0.25))!, 0.25)).toContain("25.00% of the positions");
  });
});
