import type { FloatArray } from "../tensor/matrix.js";

/** How many of the likeliest tokens are compared. */
export const TOP = 5;

/** The likeliest tokens of one position, largest logit first, the smaller id first among equals. */
export interface TopTokens {
  readonly ids: Int32Array;
  readonly logits: Float64Array;
}

/** A place for findTop to write to. */
export function topTokens(): TopTokens {
  return { ids: new Int32Array(TOP), logits: new Float64Array(TOP) };
}

/** A float64 logit beyond it is as good as infinite; no float32 is. Differences of smaller ones cannot overflow. */
const LARGEST_LOGIT = 1e300;

/**
 * Finds the TOP largest of logits[begin, begin + vocabulary); false as soon as one is NaN or infinite.
 * The ids beyond a vocabulary smaller than TOP are -1.
 */
export function findTop(logits: FloatArray, begin: number, vocabulary: number, top: TopTokens): boolean {
  const { ids, logits: largest } = top;
  ids.fill(-1);
  largest.fill(Number.NEGATIVE_INFINITY);
  let smallestKept = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < vocabulary; i++) {
    const logit = logits[begin + i]!;
    if (!(Math.abs(logit) <= LARGEST_LOGIT)) return false;
    if (logit > smallestKept) {
      let rank = TOP - 1;
      for (; rank > 0 && largest[rank - 1]! < logit; rank--) {
        largest[rank] = largest[rank - 1]!;
        ids[rank] = ids[rank - 1]!;
      }
      largest[rank] = logit;
      ids[rank] = i;
      smallestKept = largest[TOP - 1]!;
    }
  }
  return true;
}

// exp(x) for x <= 0 as 2^(k/256) · exp(r), k = round(256 x / ln 2), |r| <= ln 2 / 512. Math.exp is a call of more than twice
// the time, and two of them for every entry of the vocabulary are most of what a comparison costs.
const STEPS = 256;
const STEPS_PER_UNIT = STEPS / Math.LN2;
// ln 2 / 256 in two parts: the first has few enough bits that its product with k is exact (fdlibm's split of ln 2).
const STEP_HIGH = 0.6931471803691238 / STEPS;
const STEP_LOW = 1.9082149292705877e-10 / STEPS;
const FRACTIONS = Float64Array.from({ length: STEPS }, (_, k) => 2 ** (k / STEPS));
const HALVINGS = Float64Array.from({ length: 1023 }, (_, k) => 2 ** -k);
/** exp of less is no normal number and counts as 0: the largest logit's 1 stands beside it in every sum. */
const SMALLEST_EXPONENT = -708;

/**
 * Writes exp(logit - largest) of logits[begin + from, begin + to) to out[from, to) and returns their sum.
 * No logit may be above `largest`. Relative error of each value below 4e-16.
 */
export function exponentials(
  logits: FloatArray,
  begin: number,
  from: number,
  to: number,
  largest: number,
  out: Float64Array,
): number {
  let sum = 0;
  for (let i = from; i < to; i++) {
    const x = logits[begin + i]! - largest;
    let e = 0;
    if (x > SMALLEST_EXPONENT) {
      const k = (x * STEPS_PER_UNIT - 0.5) | 0;
      const r = x - k * STEP_HIGH - k * STEP_LOW;
      const exponential = 1 + r * (1 + r * (1 / 2 + r * (1 / 6 + r * (1 / 24))));
      e = HALVINGS[-(k >> 8)]! * FRACTIONS[k & (STEPS - 1)]! * exponential;
    }
    out[i] = e;
    sum += e;
  }
  return sum;
}

/** One position's distribution: probability i is exponentials[i] / sum. */
export interface Softmax {
  readonly logits: FloatArray;
  /** Where the position's logits begin. */
  readonly begin: number;
  readonly largest: number;
  /** exp(logit - largest). */
  readonly exponentials: Float64Array;
  readonly sum: number;
  readonly lnSum: number;
}

/** The softmax of logits[begin, begin + vocabulary), given what findTop found there; writes its terms to `out`. */
export function softmax(
  logits: FloatArray,
  begin: number,
  vocabulary: number,
  top: TopTokens,
  out: Float64Array,
): Softmax {
  const first = top.ids[0]!;
  const largest = top.logits[0]!;
  out[first] = 1;
  // Without the largest logit's own 1, so that log1p keeps every digit also where the model is nearly sure.
  const rest =
    exponentials(logits, begin, 0, first, largest, out) +
    exponentials(logits, begin, first + 1, vocabulary, largest, out);
  return { logits, begin, largest, exponentials: out, sum: 1 + rest, lnSum: Math.log1p(rest) };
}

/** Negative log-probability of a token, nats. */
export function lossOf(distribution: Omit<Softmax, "exponentials">, token: number): number {
  return distribution.lnSum - (distribution.logits[distribution.begin + token]! - distribution.largest);
}
