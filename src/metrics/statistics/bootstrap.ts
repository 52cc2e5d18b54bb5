import { createMersenneTwister } from "../../random/mersenne.js";
import { type Interval, percentileInterval } from "./interval.js";
import { checkResampling, drawItems, type Resampling } from "./resampling.js";

/**
 * 95% percentile bootstrap intervals of the means of columns over the same items, resampled together so that they
 * stay paired; null for fewer than two items, whose resamples cannot vary. Efron 1979; quantiles as
 * scipy.stats.bootstrap(method="percentile"). Throws RangeError when the columns' lengths differ.
 */
export function bootstrapMeans(columns: readonly Float64Array[], resampling: Resampling): (Interval | null)[] {
  checkResampling(resampling);
  const count = columns[0]?.length ?? 0;
  if (columns.some((column) => column.length !== count)) throw new RangeError("columns of different lengths");
  if (count < 2) return columns.map(() => null);
  const generator = createMersenneTwister(resampling.seed);
  const items = new Int32Array(count);
  const means = columns.map(() => new Float64Array(resampling.resamples));
  for (let resample = 0; resample < resampling.resamples; resample++) {
    drawItems(generator, items);
    columns.forEach((column, index) => {
      means[index]![resample] = meanOf(column, items);
    });
  }
  return means.map(percentileInterval);
}

function meanOf(column: Float64Array, items: Int32Array): number {
  let sum = 0;
  for (let i = 0; i < items.length; i++) sum += column[items[i]!]!;
  return sum / items.length;
}
