import type { Interval } from "./interval.js";
import { wilsonInterval } from "./wilson.js";

/** How often each of four outcomes came up when two models answered the same items. */
export interface PairedCounts {
  readonly bothRight: number;
  readonly onlyBase: number;
  readonly onlyCompressed: number;
  readonly bothWrong: number;
}

/**
 * 95% interval of the difference of two paired proportions, compressed - base; null without items. Newcombe 1998,
 * Statistics in Medicine 17:2635, method 10: both Wilson intervals, squared and added with the correlation φ, whose
 * numerator is moved towards 0 by n/2 where positive.
 *
 * Unlike Wald's and the bootstrap's interval it stays within [-1, 1] and keeps its width where no item, or hardly
 * one, flips: that few items agree does not show that all do.
 */
export function newcombeInterval(counts: PairedCounts): Interval | null {
  const { bothRight, onlyBase, onlyCompressed, bothWrong } = counts;
  const right = bothRight + onlyCompressed; // of the compressed model
  const rightBase = bothRight + onlyBase;
  const n = right + onlyBase + bothWrong;
  const wilson = wilsonInterval(right, n);
  const wilsonBase = wilsonInterval(rightBase, n);
  if (wilson === null || wilsonBase === null) return null;

  const covariance = bothRight * bothWrong - onlyCompressed * onlyBase;
  const corrected = covariance < 0 ? covariance : Math.max(0, covariance - n / 2);
  const spread = Math.sqrt(right * (n - right)) * Math.sqrt(rightBase * (n - rightBase));
  const phi = spread === 0 ? 0 : corrected / spread;
  const add = (x: number, y: number) => Math.sqrt(x ** 2 - 2 * phi * x * y + y ** 2);

  const difference = (onlyCompressed - onlyBase) / n;
  return [
    difference - add(right / n - wilson[0], wilsonBase[1] - rightBase / n),
    difference + add(wilson[1] - right / n, rightBase / n - wilsonBase[0]),
  ];
}
