import { expect, test } from "vitest";
import { type ContinuationColumns, summariseContinuations } from "./continuations.js";

const item = (loss: number[], lossBase: number[], jsd = loss, kl = loss): ContinuationColumns => ({
  loss,
  lossBase,
  jsd,
  kl,
  sameTop1: loss.map((value, i) => value === lossBase[i]),
});

/** One item a token: then clustering by item changes nothing. */
const single = [0.1, 0.9, 0.3, 0.5].map((loss) => item([loss], [0.3]));

test("of items of one token each: the mean and its ordinary standard error", () => {
  const { tokens, jsd, perplexity, sameTop1 } = summariseContinuations(single);
  expect(tokens).toBe(4);
  expect(jsd.mean).toBeCloseTo(0.45, 12);
  // The sample standard deviation of .1 .9 .3 .5 is √(.35 / 3).
  expect(jsd.standardError).toBeCloseTo(Math.sqrt(0.35 / 3 / 4), 12);
  expect(jsd.meanBits).toBeCloseTo(0.45 / Math.LN2, 12);
  expect(perplexity.base).toBeCloseTo(Math.exp(0.3), 12);
  expect(perplexity.compressed).toBeCloseTo(Math.exp(0.45), 12);
  expect(perplexity.ratio).toBeCloseTo(Math.exp(0.15), 12);
  expect(sameTop1.mean).toBe(0.25);
});

test("the mean is over tokens, not over items", () => {
  const { tokens, kl } = summariseContinuations([item([1], [0]), item([4, 4, 4], [0, 0, 0])]);
  expect({ tokens, mean: kl.mean }).toEqual({ tokens: 4, mean: 3.25 });
});

test("repeating every token within its item changes no mean and no standard error: it is no new evidence", () => {
  const twice = single.map(({ loss, lossBase }) =>
    item([...loss, ...loss] as number[], [...lossBase, ...lossBase] as number[]),
  );
  const [once, repeated] = [summariseContinuations(single), summariseContinuations(twice)];
  expect(repeated.tokens).toBe(8);
  expect(repeated.jsd.mean).toBeCloseTo(once.jsd.mean!, 12);
  expect(repeated.jsd.standardError).toBeCloseTo(once.jsd.standardError!, 12);
  expect(repeated.perplexity.ratioStandardError).toBeCloseTo(once.perplexity.ratioStandardError!, 12);
});

test("a token that is not finite in any column is in none", () => {
  const whole = item([1, 2, 3], [1, 1, 1]);
  for (const column of ["loss", "lossBase", "jsd", "kl"] as const) {
    const broken = { ...whole, [column]: whole[column].with(1, null) };
    expect(summariseContinuations([broken, whole])).toEqual(summariseContinuations([item([1, 3], [1, 1]), whole]));
  }
});

test("nothing that is finite", () => {
  const { tokens, perplexity, jsd, sameTop1 } = summariseContinuations([{ ...item([1], [1]), loss: [null] }]);
  expect({ tokens, perplexity, jsd, sameTop1 }).toEqual({
    tokens: 0,
    perplexity: { base: null, compressed: null, ratio: null, ratioStandardError: null },
    jsd: { mean: null, standardError: null, meanBits: null },
    sameTop1: { mean: null, standardError: null },
  });
});

test("one item says nothing of the spread between items", () => {
  expect(summariseContinuations([item([1, 2], [1, 1])]).jsd.standardError).toBeNull();
});
