import { createMersenneTwister } from "../random/mersenne.js";
import type { FloatArray } from "../tensor/matrix.js";

/** How the next token is drawn; without it the likeliest is taken. */
export interface Sampling {
  /** Logits are divided by it. */
  readonly temperature: number;
  /** Only the so many likeliest tokens. */
  readonly topK?: number | undefined;
  /** Of those, the fewest likeliest whose probabilities sum to at least this (Holtzman et al. 2020, arXiv 1904.09751). */
  readonly topP?: number | undefined;
  /** 0 to 2³² - 1. */
  readonly seed: number;
}

/** Chooses the next token from logits [begin, begin + vocabulary). */
export type Choose = (logits: FloatArray, begin: number, vocabulary: number) => number;

/** The likeliest token, the first among equals. */
export const likeliest: Choose = (logits, begin, vocabulary) => {
  let best = 0;
  let largest = logits[begin]!;
  for (let i = 1; i < vocabulary; i++) {
    const logit = logits[begin + i]!;
    if (logit > largest) {
      largest = logit;
      best = i;
    }
  }
  return best;
};

/**
 * Draws tokens as `transformers` filters them: temperature, then top-k, then top-p over what is left. Every prompt has
 * random numbers of its own, so that what is drawn for it does not depend on which prompts it runs with.
 */
export function createSampler({ temperature, topK, topP = 1, seed }: Sampling, prompt: number): Choose {
  const { random } = createMersenneTwister(seed + prompt * 2 ** 32);
  return (logits, begin, vocabulary) => {
    const row = logits.subarray(begin, begin + vocabulary);
    let order = Array.from({ length: vocabulary }, (_, id) => id).sort((a, b) => row[b]! - row[a]! || a - b);
    if (topK !== undefined) order = order.filter((id, rank) => rank < topK || row[id] === row[order[topK - 1]!]);
    const weights = order.map((id) => Math.exp((row[id]! - row[order[0]!]!) / temperature));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    let kept = 0;
    let sum = 0;
    while (kept < weights.length && (kept === 0 || sum < topP * total)) sum += weights[kept++]!;
    let left = random() * sum;
    for (let rank = 0; rank < kept; rank++) {
      left -= weights[rank]!;
      if (left < 0) return order[rank]!;
    }
    return order[kept - 1]!;
  };
}
