import { type Interval, Z } from "../metrics/statistics/interval.js";
import { mean, standardError } from "../metrics/statistics/mean.js";

/** 97.5% quantiles of Student's t for 1 to 10 degrees of freedom; Fisher and Yates's tables. */
const QUANTILES = [12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.306, 2.2622, 2.2281];

/** 97.5% quantile of Student's t; above 10 degrees of freedom by Cornish and Fisher's expansion around the normal's. */
export function studentQuantile(degrees: number): number {
  const exact = QUANTILES[degrees - 1];
  if (exact !== undefined) return exact;
  const terms = [
    (Z ** 3 + Z) / 4,
    (5 * Z ** 5 + 16 * Z ** 3 + 3 * Z) / 96,
    (3 * Z ** 7 + 19 * Z ** 5 + 17 * Z ** 3 - 15 * Z) / 384,
  ];
  return terms.reduce((sum, term, i) => sum + term / degrees ** (i + 1), Z);
}

/** 95% interval of the mean of a few independent values of unknown spread; null for fewer than two. Student 1908. */
export function studentInterval(values: Float64Array): Interval | null {
  const error = standardError(values);
  const center = mean(values);
  if (error === null || center === null) return null;
  const half = studentQuantile(values.length - 1) * error;
  return [center - half, center + half];
}
