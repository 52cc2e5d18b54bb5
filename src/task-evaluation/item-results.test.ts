import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { loadTask } from "../tasks/load.js";
import type { ChoiceItem, Item } from "../tasks/task.js";
import type { ContinuationFigures } from "./continuations.js";
import { type Answer, chosenAnswer, generatedAnswer, itemResult } from "./item-results.js";

const common = { id: "t/3", index: 3, prompt: "p", chat: "p", record: { field: 1 } };
const generated = (ids: readonly number[], prediction = ""): Answer => ({
  kind: "generate",
  text: prediction,
  prediction,
  ids,
  stop: "length",
});

describe("generated answers", async () => {
  const task = await loadTask("stories-last-word");
  const item: Item = { ...common, kind: "generate", references: ["park.", "the beach"] };

  test("the metrics see what is taken out of the text", () => {
    const answer = generatedAnswer(task, { text: " park.\nOnce", ids: [5, 6], stop: "length", truncated: 0 });
    expect(answer).toEqual({
      kind: "generate",
      text: " park.\nOnce",
      prediction: "park.",
      ids: [5, 6],
      stop: "length",
    });
  });

  test("both models' scores, and whatever tells where they are from", () => {
    const answers = { base: generated([1], "The park!"), compressed: generated([2], "beach house") };
    expect(itemResult(task, item, ["asked"], answers, 7)).toEqual({
      id: "t/3",
      task: "stories-last-word",
      index: 3,
      prompt: "asked",
      promptSha256: createHash("sha256").update("asked").digest("hex"),
      contexts: null,
      references: ["park.", "the beach"],
      choices: null,
      gold: null,
      ...answers,
      // SQuAD's: "beach house" shares one of two words with "beach": precision 1/2, recall 1.
      scores: { exact_match: { base: 1, compressed: 0 }, f1: { base: 1, compressed: expect.closeTo(2 / 3, 12) } },
      firstDivergentToken: 0,
      truncated: 7,
      record: { field: 1 },
    });
  });

  test("a model alone", () => {
    const { base, scores, firstDivergentToken } = itemResult(
      task,
      item,
      ["p"],
      { base: null, compressed: generated([1], "park") },
      0,
    );
    expect({ base, firstDivergentToken }).toEqual({ base: null, firstDivergentToken: null });
    expect(scores).toEqual({ exact_match: { base: null, compressed: 1 }, f1: { base: null, compressed: 1 } });
  });

  test.each([
    [[1, 2, 3], [1, 2, 3], null],
    [[1, 2, 3], [1, 9, 3], 1],
    [[1, 2], [1, 2, 3], 2],
    [[1, 2, 3], [1, 2], 2],
    [[0], [1], 0],
  ])("%j and %j part at token %j", (base, compressed, expected) => {
    const answers = { base: generated(base), compressed: generated(compressed) };
    expect(itemResult(task, item, ["p"], answers, 0).firstDivergentToken).toBe(expected);
  });
});

describe("chosen answers", async () => {
  const task = await loadTask("arc_easy");
  const item: ChoiceItem = {
    ...common,
    kind: "choice",
    references: ["ab"],
    choices: ["abcd", "ab"],
    contexts: ["p", "p"],
    gold: 1,
  };
  const figures = (loss: (number | null)[], base: (number | null)[], greedy = false): ContinuationFigures => ({
    loss,
    greedy,
    base: { loss: base, greedy: !greedy, jsd: loss, kl: loss, sameTop1: loss.map(() => true) },
  });

  test("each side's own figures: the sum of a choice's losses, the smallest is chosen", () => {
    const both = [figures([1, 2], [0.5, 0.5], true), figures([2], [3], false)];
    expect(chosenAnswer(item, both, "compressed")).toEqual({
      kind: "choice",
      logLikelihoods: [-3, -2],
      greedy: [true, false],
      chosen: 1,
    });
    expect(chosenAnswer(item, both, "base")).toMatchObject({
      logLikelihoods: [-1, -3],
      greedy: [false, true],
      chosen: 0,
    });
  });

  test("a token that is not finite: its choice is never chosen, and stays null", () => {
    const broken = [figures([1, null], [1, 1]), figures([50], [50])];
    expect(chosenAnswer(item, broken, "compressed")).toMatchObject({ logLikelihoods: [null, -50], chosen: 1 });
    const none = [figures([null], [1]), figures([null], [50])];
    const compressed = chosenAnswer(item, none, "compressed");
    expect(compressed).toMatchObject({ logLikelihoods: [null, null], chosen: null });
    expect(itemResult(task, item, ["p"], { base: null, compressed }, 0).scores["acc"]).toEqual({
      base: null,
      compressed: 0,
    });
  });

  test("acc by the sum, acc_norm by the sum per character", () => {
    // -3 / 4 characters is more than -2 / 2 characters, though -3 is less than -2.
    const compressed = chosenAnswer(item, [figures([3], [0]), figures([2], [0])], "compressed");
    const result = itemResult(task, item, ["p"], { base: null, compressed }, 0);
    expect(result).toMatchObject({ choices: ["abcd", "ab"], gold: 1, firstDivergentToken: null });
    expect(result.scores).toMatchObject({ acc: { compressed: 1 }, acc_norm: { compressed: 0 } });
  });

  test("contexts are told where they differ", () => {
    const compressed = chosenAnswer(item, [figures([3], [0]), figures([2], [0])], "compressed");
    const contextsOf = (prompts: string[]) => itemResult(task, item, prompts, { base: null, compressed }, 0).contexts;
    expect(contextsOf(["Tom", "Ann"])).toEqual(["Tom", "Ann"]);
    expect(contextsOf(["Tom", "Tom"])).toBeNull();
  });

  test("a last word is right where each of its tokens is the likeliest", async () => {
    const lambada = await loadTask("lambada");
    const word: ChoiceItem = {
      ...item,
      kind: "last-word",
      choices: ["ab"],
      contexts: ["p"],
      references: ["ab"],
      gold: 0,
    };
    const own = [figures([9], [0.1], true)];
    const [base, compressed] = [chosenAnswer(word, own, "base"), chosenAnswer(word, own, "compressed")];
    const { scores } = itemResult(lambada, word, ["p"], { base, compressed }, 0);
    expect(scores).toEqual({ acc: { base: 0, compressed: 1 } });
  });
});
