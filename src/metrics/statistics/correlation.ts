import { createMersenneTwister } from "../../random/mersenne.js";
import { type Interval, percentileInterval } from "./interval.js";
import { mean } from "./mean.js";
import { pairedColumns } from "./paired-columns.js";
import { checkResampling, drawItems, type Resampling } from "./resampling.js";

/** A correlation of two columns of the same length, in [-1, 1]; null where one of them is constant. */
export type Correlation = (a: Float64Array, b: Float64Array) => number | null;

/** Pearson's product-moment correlation. */
export const pearson: Correlation = (a, b) => {
  const meanA = mean(a);
  const meanB = mean(b);
  if (meanA === null || meanB === null || isConstant(a) || isConstant(b)) return null;
  let squaresA = 0;
  let squaresB = 0;
  let products = 0;
  for (let i = 0; i < a.length; i++) {
    const x = a[i]! - meanA;
    const y = b[i]! - meanB;
    squaresA += x * x;
    squaresB += y * y;
    products += x * y;
  }
  return Math.max(-1, Math.min(1, products / (Math.sqrt(squaresA) * Math.sqrt(squaresB))));
};

/** Spearman's rank correlation: Pearson's of the ranks, equal values sharing the mean of theirs. Spearman 1904. */
export const spearman: Correlation = (a, b) => pearson(ranks(a), ranks(b));

/**
 * Kendall's τ_b: concordant less discordant pairs of items, over √(pairs that a tells apart · pairs that b does).
 * Kendall 1945. Goes through all n (n - 1) / 2 pairs: for study cells and items by the thousand.
 */
export const kendallTauB: Correlation = (a, b) => {
  let agreement = 0;
  let apartA = 0;
  let apartB = 0;
  for (let i = 1; i < a.length; i++) {
    for (let j = 0; j < i; j++) {
      const orderA = Math.sign(a[i]! - a[j]!);
      const orderB = Math.sign(b[i]! - b[j]!);
      agreement += orderA * orderB;
      apartA += orderA * orderA;
      apartB += orderB * orderB;
    }
  }
  // In one root: of equal orders it is 1 to the last bit.
  return apartA === 0 || apartB === 0 ? null : agreement / Math.sqrt(apartA * apartB);
};

/** A correlation over cells (a cell: one model, method and task) and how sure it is. */
export interface CorrelationEstimate extends Resampling {
  readonly n: number;
  readonly value: number | null;
  /** 95% percentile bootstrap over cells; null where the value is, or where no resample has one. */
  readonly interval: Interval | null;
  /** Resamples in which one column was constant; they are left out. Many of them: too few cells for an interval. */
  readonly undefinedResamples: number;
}

/** Correlates two figures over the same cells. Throws RangeError for columns of different length or a value that is not finite. */
export function correlateCells(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  correlation: Correlation,
  resampling: Resampling,
): CorrelationEstimate {
  checkResampling(resampling);
  const [columnA, columnB] = pairedColumns(a, b);
  const { seed, resamples } = resampling;
  const value = correlation(columnA, columnB);
  if (value === null) return { n: a.length, value, interval: null, undefinedResamples: resamples, seed, resamples };
  const generator = createMersenneTwister(seed);
  const cells = new Int32Array(a.length);
  const drawn: number[] = [];
  for (let resample = 0; resample < resamples; resample++) {
    drawItems(generator, cells);
    const drawnValue = correlation(
      Float64Array.from(cells, (cell) => columnA[cell]!),
      Float64Array.from(cells, (cell) => columnB[cell]!),
    );
    if (drawnValue !== null) drawn.push(drawnValue);
  }
  return {
    n: a.length,
    value,
    interval: percentileInterval(Float64Array.from(drawn)),
    undefinedResamples: resamples - drawn.length,
    seed,
    resamples,
  };
}

function isConstant(values: Float64Array): boolean {
  return values.every((value) => value === values[0]);
}

/** Ranks from 1, equal values sharing the mean of theirs. */
function ranks(values: Float64Array): Float64Array {
  const order = Int32Array.from(values.keys()).sort((i, j) => values[i]! - values[j]!);
  const ranked = new Float64Array(values.length);
  for (let begin = 0, end = 0; begin < order.length; begin = end) {
    while (end < order.length && values[order[end]!] === values[order[begin]!]) end++;
    for (let k = begin; k < end; k++) ranked[order[k]!] = (begin + 1 + end) / 2;
  }
  return ranked;
}
