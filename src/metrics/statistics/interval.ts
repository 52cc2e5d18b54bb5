/** A two-sided 95% confidence interval. */
export type Interval = readonly [low: number, high: number];

/** Normal quantile of 0.975: half of a 95% interval in standard errors. */
export const Z = 1.959963984540054;

/** Quantile of ascending values, linear between the two nearest ranks (Hyndman and Fan's type 7); null without values. */
export function quantile(sorted: Float64Array, share: number): number | null {
  if (sorted.length === 0) return null;
  const rank = share * (sorted.length - 1);
  const below = sorted[Math.floor(rank)]!;
  const above = sorted[Math.ceil(rank)]!;
  return below + (above - below) * (rank - Math.floor(rank));
}

/** Percentile bootstrap interval: the 2.5% and 97.5% quantiles of a statistic's resampled values. Efron 1979. */
export function percentileInterval(resampled: Float64Array): Interval | null {
  const sorted = resampled.toSorted();
  const low = quantile(sorted, 0.025);
  const high = quantile(sorted, 0.975);
  return low === null || high === null ? null : [low, high];
}
