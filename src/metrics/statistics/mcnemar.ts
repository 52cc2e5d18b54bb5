/**
 * McNemar's exact test: the two-sided p of `first` against `second` discordant pairs, each as likely either way;
 * 1 without any, 0 where smaller than a float64 can be. McNemar 1947; the binomial test that
 * statsmodels' mcnemar(exact=True) does.
 */
export function mcnemarExact(first: number, second: number): number {
  const n = first + second;
  const fewer = Math.min(first, second);
  // Binomial terms from the middle down, the middle one scaled to 1: neither n! nor 2ⁿ is needed, for any n.
  const middle = Math.floor(n / 2);
  let term = 1;
  let half = 0; // terms 0 to middle
  let tail = 0; // terms 0 to fewer
  for (let i = middle; i >= 0 && term > 0; i--) {
    half += term;
    if (i <= fewer) tail += term;
    term *= i / (n - i + 1);
  }
  const total = n % 2 === 0 ? 2 * half - 1 : 2 * half;
  return Math.min(1, (2 * tail) / total);
}
