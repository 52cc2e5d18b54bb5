import { mean } from "./mean.js";

/** A mean and its standard error, clustered by window or item; null where undefined. */
export interface MeanSummary {
  readonly mean: number | null;
  readonly standardError: number | null;
}

/** Which cluster each value belongs to, numbered from 0 without gaps. */
export interface Clusters {
  readonly numbers: Int32Array;
  readonly count: number;
}

/** Clusters by any names: equal names, one cluster. */
export function clustersOf(names: Int32Array): Clusters {
  const known = new Map<number, number>();
  const numbers = names.map((name) => {
    const number = known.get(name) ?? known.size;
    known.set(name, number);
    return number;
  });
  return { numbers, count: known.size };
}

/**
 * Mean over N positions and its cluster-robust standard error, with S_w the sum and n_w the positions of window w of W:
 * √(Σ_w (S_w - n_w · mean)² · W/(W - 1)) / N. One window says nothing about the spread between windows: null.
 * Liang and Zeger 1986; what statsmodels' OLS on a constant gives with cov_type="cluster".
 */
export function clusteredMean(values: Float64Array, clusters: Clusters): MeanSummary {
  const average = mean(values);
  const { count } = clusters;
  if (average === null || count < 2) return { mean: average, standardError: null };
  const deviations = new Float64Array(count); // S_w - n_w · mean
  for (let i = 0; i < values.length; i++) deviations[clusters.numbers[i]!]! += values[i]! - average;
  const squares = deviations.reduce((sum, deviation) => sum + deviation * deviation, 0);
  return { mean: average, standardError: Math.sqrt((squares * count) / (count - 1)) / values.length };
}

/** exp of a mean; d exp(x) = exp(x) dx gives the standard error. Null where exp overflows. */
export function exponential(summary: MeanSummary): { value: number | null; standardError: number | null } {
  const value = summary.mean === null ? null : Math.exp(summary.mean);
  if (value === null || !Number.isFinite(value)) return { value: null, standardError: null };
  return { value, standardError: summary.standardError === null ? null : value * summary.standardError };
}
