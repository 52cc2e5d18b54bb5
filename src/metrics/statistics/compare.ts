import { bootstrapMeans } from "./bootstrap.js";
import type { Interval } from "./interval.js";
import { mcnemarExact } from "./mcnemar.js";
import { mean, standardError } from "./mean.js";
import { newcombeInterval, type PairedCounts } from "./newcombe.js";
import { pairedColumns } from "./paired-columns.js";
import { permutationTest } from "./permutation.js";
import { checkResampling, type Resampling } from "./resampling.js";
import { wilsonInterval } from "./wilson.js";

const DEFAULT_RESAMPLES = 10_000;
/** More than of the bootstrap, since no p below 2 / (permutations + 1) can come out, and Holm multiplies it. */
const DEFAULT_PERMUTATIONS = 100_000;

/** A mean over items; null where there are too few items to say. */
interface Estimate {
  readonly mean: number | null;
  readonly standardError: number | null;
  /** 95%. */
  readonly interval: Interval | null;
}

/** Base against compressed on the same items; higher scores are better. */
export interface PairedComparison {
  readonly n: number;
  readonly seed: number;
  /** Of the bootstrap; 0/1 scores need none. */
  readonly resamples: number;
  /** Of the test "permutation"; the other tests need none. */
  readonly permutations: number;
  readonly base: Estimate;
  readonly compressed: Estimate;
  /** compressed - base. */
  readonly difference: Estimate;
  /** Mean compressed / mean base; null where the base's is 0. */
  readonly recovery: number | null;
  /** Two-sided, of no difference, not adjusted for other comparisons; null without items. */
  readonly p: number | null;
  readonly test: "mcnemar-exact" | "permutation" | "permutation-exact";
  /** Items of 0/1 scores that changed; null for other scores. */
  readonly flips: { readonly rightToWrong: number; readonly wrongToRight: number } | null;
  /** Items of other scores that changed; null for 0/1 scores. */
  readonly changes: { readonly worse: number; readonly better: number } | null;
}

export interface ComparisonOptions {
  /** Whether every score is 0 or 1. A metric's property, not the data's: F1 scores may all be 0 or 1 by chance. */
  readonly binary: boolean;
  readonly seed: number;
  /** Of the bootstrap; default 10,000. */
  readonly resamples?: number | undefined;
  /** Of the permutation test; default 100,000. */
  readonly permutations?: number | undefined;
}

/**
 * Compares two models' scores of the same items, given in the same order.
 *
 * 0/1 scores: Wilson intervals, Newcombe's paired interval of the difference, McNemar's exact test; nothing is drawn.
 * Others: percentile bootstrap over items, all three means resampled together, and the paired permutation test.
 * Interval and test are two methods: close to p = 0.05 one may exclude 0 where the other does not.
 *
 * Throws RangeError for lists of different lengths, a score that is not finite, or not 0 or 1 where `binary`.
 */
export function comparePaired(
  base: ArrayLike<number>,
  compressed: ArrayLike<number>,
  { binary, seed, resamples = DEFAULT_RESAMPLES, permutations = DEFAULT_PERMUTATIONS }: ComparisonOptions,
): PairedComparison {
  const bootstrap = { seed, resamples };
  const permutation = { seed, resamples: permutations };
  checkResampling(bootstrap);
  checkResampling(permutation);
  const [scoresBase, scores] = pairedColumns(base, compressed);
  const differences = scores.map((score, i) => score - scoresBase[i]!);
  const { intervals, ...rest } = binary
    ? compareBinary(scoresBase, scores)
    : compareOther(scoresBase, scores, differences, bootstrap, permutation);
  const estimate = (values: Float64Array, interval: Interval | null): Estimate => ({
    mean: mean(values),
    standardError: standardError(values),
    interval,
  });
  const estimates = {
    base: estimate(scoresBase, intervals[0]),
    compressed: estimate(scores, intervals[1]),
    difference: estimate(differences, intervals[2]),
  };
  return {
    n: scores.length,
    ...estimates,
    recovery: ratio(estimates.compressed.mean, estimates.base.mean),
    ...rest,
    p: scores.length === 0 ? null : rest.p,
    seed,
    resamples,
    permutations,
  };
}

type Compared = Pick<PairedComparison, "p" | "test" | "flips" | "changes"> & {
  readonly intervals: readonly [base: Interval | null, compressed: Interval | null, difference: Interval | null];
};

function compareBinary(base: Float64Array, compressed: Float64Array): Compared {
  const counts = countPairs(base, compressed);
  const { bothRight, onlyBase, onlyCompressed } = counts;
  return {
    intervals: [
      wilsonInterval(bothRight + onlyBase, base.length),
      wilsonInterval(bothRight + onlyCompressed, base.length),
      newcombeInterval(counts),
    ],
    p: mcnemarExact(onlyBase, onlyCompressed),
    test: "mcnemar-exact",
    flips: { rightToWrong: onlyBase, wrongToRight: onlyCompressed },
    changes: null,
  };
}

function compareOther(
  base: Float64Array,
  compressed: Float64Array,
  differences: Float64Array,
  bootstrap: Resampling,
  permutation: Resampling,
): Compared {
  const [intervalBase = null, interval = null, intervalDifference = null] = bootstrapMeans(
    [base, compressed, differences],
    bootstrap,
  );
  const { p, exact } = permutationTest(differences, permutation);
  return {
    intervals: [intervalBase, interval, intervalDifference],
    p,
    test: exact ? "permutation-exact" : "permutation",
    flips: null,
    changes: {
      worse: differences.filter((difference) => difference < 0).length,
      better: differences.filter((difference) => difference > 0).length,
    },
  };
}

function countPairs(base: Float64Array, compressed: Float64Array): PairedCounts {
  const counts = { bothRight: 0, onlyBase: 0, onlyCompressed: 0, bothWrong: 0 };
  compressed.forEach((score, i) => {
    const scoreBase = base[i]!;
    for (const value of [scoreBase, score])
      if (value !== 0 && value !== 1) throw new RangeError(`score ${i} is ${value}, not 0 or 1`);
    if (score === 1) counts[scoreBase === 1 ? "bothRight" : "onlyCompressed"]++;
    else counts[scoreBase === 1 ? "onlyBase" : "bothWrong"]++;
  });
  return counts;
}

function ratio(numerator: number | null, denominator: number | null): number | null {
  return numerator === null || denominator === null || denominator === 0 ? null : numerator / denominator;
}
