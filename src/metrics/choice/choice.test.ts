import { readFileSync } from "node:fs";
import { describe, expect, it, test } from "vitest";
import { oracle } from "../../../test/oracles.js";
import { scoreChoices } from "./choice.js";
import { choiceMetrics } from "./registry.js";

interface Scores {
  readonly loglikelihood: readonly number[];
  readonly per_character: readonly number[];
  readonly per_byte: readonly number[];
  readonly chosen: number;
  readonly chosen_norm: number;
  readonly chosen_bytes: number;
  readonly acc: number;
  readonly acc_norm: number;
  readonly acc_bytes: number;
}

interface Item {
  readonly task: string;
  readonly index: number;
  readonly choices: readonly string[];
  readonly gold: number;
  readonly dense: Scores;
  readonly wanda50: Scores;
}

function expectScores({ choices, gold, ...models }: Item): void {
  for (const model of ["dense", "wanda50"] as const) {
    const expected = models[model];
    const scores = scoreChoices({ logLikelihoods: expected.loglikelihood, choices, gold });
    expect(scores).toEqual({
      perCharacter: expected.per_character,
      perByte: expected.per_byte,
      chosen: expected.chosen,
      chosenNorm: expected.chosen_norm,
      chosenBytes: expected.chosen_bytes,
      acc: expected.acc,
      accNorm: expected.acc_norm,
      accBytes: expected.acc_bytes,
    });
    for (const { name, score } of choiceMetrics)
      expect(score(scores), name).toBe(expected[name as "acc" | "acc_norm" | "acc_bytes"]);
  }
}

/** Log-likelihoods of SmolLM2-135M-Instruct and what lm_eval 0.4.13 makes of them: see make.py beside it. */
const fixture = JSON.parse(
  readFileSync(new URL("../../../test/fixtures/metrics/choices.json", import.meta.url), "utf8"),
) as readonly Item[];

it.each(fixture)("$task $index is scored as lm_eval scores it", expectScores);

const file = oracle("oracles", "choices.jsonl");

describe.skipIf(!file)(`80 items as lm_eval scores them${file ? "" : " (PARE_ORACLES is not set)"}`, () => {
  it.each(["arc_easy", "piqa"])("%s", (task) => {
    const items = readFileSync(file!, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Item)
      .filter((item) => item.task === task);
    expect(items).toHaveLength(40);
    items.forEach(expectScores);
  });
});

test("characters are code points, bytes are UTF-8's", () => {
  // 3 characters in 12 bytes, 5 in 6, 4 in 4.
  const { perCharacter, perByte } = scoreChoices({
    logLikelihoods: [-12, -30, -8],
    choices: ["😀😀😀", "naïve", "four"],
    gold: 0,
  });
  expect(perCharacter).toEqual([-4, -6, -2]);
  expect(perByte).toEqual([-1, -5, -2]);
});

test("any of several right choices counts", () => {
  const item = { logLikelihoods: [-3, -1, -2], choices: ["x", "y", "z"] };
  expect(scoreChoices({ ...item, gold: [0, 1] }).acc).toBe(1);
  expect(scoreChoices({ ...item, gold: [0, 2] }).acc).toBe(0);
});

test("a choice without text is chosen by its sum only", () => {
  const item = { choices: ["", "yes"], gold: 0 };
  const likely = scoreChoices({ ...item, logLikelihoods: [-1, -9] });
  expect(likely).toMatchObject({ chosen: 0, chosenNorm: 1, chosenBytes: 1, acc: 1, accNorm: 0, accBytes: 0 });
  expect(likely.perCharacter).toEqual([Number.NEGATIVE_INFINITY, -3]);
  expect(scoreChoices({ ...item, logLikelihoods: [0, -9] }).chosenNorm).toBe(1);
});

test("NaN is never chosen and never right", () => {
  const item = { choices: ["a", "b", "c"], gold: 0 };
  const { NaN: nan, NEGATIVE_INFINITY: least } = Number;
  expect(scoreChoices({ ...item, logLikelihoods: [nan, -5, -4] })).toMatchObject({ chosen: 2, acc: 0, accNorm: 0 });
  expect(scoreChoices({ ...item, logLikelihoods: [least, nan, nan] })).toMatchObject({ chosen: 0, acc: 1 });
  expect(scoreChoices({ ...item, logLikelihoods: [nan, nan, nan] })).toMatchObject({
    chosen: null,
    chosenNorm: null,
    chosenBytes: null,
    acc: 0,
    accNorm: 0,
    accBytes: 0,
  });
});

test.each([
  [[-1], ["a", "b"], 0],
  [[-1, -2], ["a", "b"], 2],
  [[-1, -2], ["a", "b"], -1],
  [
    [-1, -2],
    ["a", "b"],
    [0, 2],
  ],
  [[-1, -2], ["a", "b"], []],
  [[], [], 0],
])("log-likelihoods %j of choices %j with gold %j are refused", (logLikelihoods, choices, gold) => {
  expect(() => scoreChoices({ logLikelihoods, choices, gold })).toThrow(RangeError);
});
