import type { MersenneTwister } from "../../random/mersenne.js";

/** How a statistic is resampled: the same seed gives the same numbers. */
export interface Resampling {
  /** A whole number from 0 to 2⁵³ - 1. */
  readonly seed: number;
  readonly resamples: number;
}

/** Throws RangeError unless seed and resamples are whole numbers in their ranges. */
export function checkResampling({ seed, resamples }: Resampling): void {
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new RangeError(`seed ${seed} is no whole number from 0 to 2⁵³ - 1`);
  if (!Number.isSafeInteger(resamples) || resamples < 1)
    throw new RangeError(`${resamples} resamples: a whole number of at least 1 is needed`);
}

/**
 * Fills `items` with as many items drawn with replacement. One 32-bit draw an item, scaled: what is uneven about that
 * (less than n / 2³²) is far below what 10,000 resamples can show, and rejecting draws would cost up to twice as many.
 */
export function drawItems(generator: MersenneTwister, items: Int32Array): void {
  const scale = items.length / 2 ** 32;
  for (let i = 0; i < items.length; i++) items[i] = generator.bits(32) * scale;
}
