/** Arithmetic mean; null without values. */
export function mean(values: Float64Array): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * Standard error of the mean of independent items: √(Σ(x - mean)² / (n - 1)) / √n. Fewer than two items say nothing
 * about the spread: null. As scipy.stats.sem and lm-evaluation-harness's mean_stderr.
 */
export function standardError(values: Float64Array): number | null {
  const count = values.length;
  const average = mean(values);
  if (average === null || count < 2) return null;
  const squares = values.reduce((sum, value) => sum + (value - average) ** 2, 0);
  return Math.sqrt(squares / (count - 1) / count);
}
