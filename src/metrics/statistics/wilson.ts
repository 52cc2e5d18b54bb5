import { type Interval, Z } from "./interval.js";

/** 95% Wilson score interval of a proportion, no continuity correction; null without trials. Wilson 1927. */
export function wilsonInterval(successes: number, trials: number): Interval | null {
  if (trials === 0) return null;
  const failures = trials - successes;
  const centre = successes + Z ** 2 / 2;
  const half = Z * Math.sqrt((successes * failures) / trials + Z ** 2 / 4);
  const total = trials + Z ** 2;
  return [successes === 0 ? 0 : (centre - half) / total, failures === 0 ? 1 : (centre + half) / total];
}
