import type { Softmax } from "./softmax.js";

/** JSD, KL(P‖Q) and KL(Q‖P) in nats, and total variation. */
export interface Divergences {
  readonly jsd: number;
  readonly kl: number;
  readonly klReverse: number;
  readonly totalVariation: number;
}

/** Below this |ln p - ln q| the closed forms lose digits and the series have them all. */
const SERIES_BELOW = 1 / 8;
/** p + q below it counts as nothing, so that the closed forms never divide 0 by 0. */
const NO_PROBABILITY = 1e-290;
const QUARTER_LN2 = Math.LN2 / 4;

/**
 * Tokens added up by one call. Short calls let V8 optimise the function as a whole; a whole vocabulary in one call makes it
 * replace the loop while that runs (on-stack replacement), and that code takes half as long again for ever after.
 */
const BLOCK = 128;

/**
 * P against Q over the same vocabulary, each figure a sum over tokens of terms that are never negative, with
 * x = ln p - ln q, t = x/2, d = tanh t = (p - q)/(p + q), m = (p + q)/2:
 *
 *   KL(P‖Q) = Σ p h(x), KL(Q‖P) = Σ q h(-x), h(x) = e^-x - 1 + x   (Σ p x, plus Σ q - p = 0)
 *   JSD     = Σ m (d t - ln cosh t) = Σ m ln(max(p, q)/m) - min(p, q) |t|
 *
 * Nothing cancels between tokens, as it does in Σ p ln(p/q), where divergences of nearly equal distributions are what is left
 * of terms a million times as large; and an error of a normaliser, which shifts every x alike, is felt only in second order.
 * x is taken from the logits, whose difference is exact where they are close, and stays right where probabilities underflow.
 */
export function divergences(P: Softmax, Q: Softmax, vocabulary: number): Divergences {
  const sums: Sums = { jsd: 0, kl: 0, klReverse: 0, difference: 0 };
  for (let from = 0; from < vocabulary; from += BLOCK) addBlock(P, Q, from, Math.min(from + BLOCK, vocabulary), sums);
  return {
    jsd: Math.min(sums.jsd, Math.LN2),
    kl: sums.kl,
    klReverse: sums.klReverse,
    totalVariation: Math.min(sums.difference / 2, 1),
  };
}

interface Sums {
  jsd: number;
  kl: number;
  klReverse: number;
  difference: number;
}

function addBlock(P: Softmax, Q: Softmax, from: number, to: number, sums: Sums): void {
  const { logits: logitsP, begin: beginP, exponentials: e } = P;
  const { logits: logitsQ, begin: beginQ, exponentials: f } = Q;
  const scaleP = 1 / P.sum;
  const scaleQ = 1 / Q.sum;
  const shift = P.largest - Q.largest + (P.lnSum - Q.lnSum);
  let jsd = 0;
  let kl = 0;
  let klReverse = 0;
  let difference = 0;
  for (let i = from; i < to; i++) {
    const p = e[i]! * scaleP;
    const q = f[i]! * scaleQ;
    const sum = p + q;
    if (sum < NO_PROBABILITY) continue;
    const x = logitsP[beginP + i]! - logitsQ[beginQ + i]! - shift;
    const size = Math.abs(x);
    const gap = Math.abs(p - q);
    difference += gap;
    if (size < SERIES_BELOW) {
      const w = x * x;
      const even = w * (1 / 2 + w * (1 / 24 + w * (1 / 720 + w * (1 / 40320)))); // cosh x - 1
      const odd = x * w * (1 / 6 + w * (1 / 120 + w * (1 / 5040 + w * (1 / 362880)))); // sinh x - x
      kl += p * (even - odd);
      klReverse += q * (even + odd);
      // t tanh t - ln cosh t = t²/2 - t⁴/4 + t⁶/9 - 17 t⁸/360 + 31 t¹⁰/1575 - ..., here in powers of x
      jsd += sum * w * (1 / 16 - w * (1 / 128 - w * (1 / 1152 - w * (17 / 184320 - w * (31 / 3225600)))));
    } else {
      const signed = p - q;
      kl += p * x - signed;
      klReverse += signed - q * x;
      // ln(max/m) = ln √2 + 2 artanh y, y in [-0.172, 0.172]: inline, since Math.log is a call.
      const twiceLarger = sum + gap;
      const y = (twiceLarger - sum * Math.SQRT2) / (twiceLarger + sum * Math.SQRT2);
      const w = y * y;
      const later = 1 / 9 + w * (1 / 11 + w * (1 / 13 + w * (1 / 15 + w * (1 / 17))));
      const artanh = y * (1 + w * (1 / 3 + w * (1 / 5 + w * (1 / 7 + w * later))));
      jsd += sum * (QUARTER_LN2 + artanh) - (sum - gap) * size * 0.25;
    }
  }
  sums.jsd += jsd;
  sums.kl += kl;
  sums.klReverse += klReverse;
  sums.difference += difference;
}
