import { expect } from "vitest";

/** The largest absolute value. */
export function largest(numbers: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < numbers.length; i++) most = Math.max(most, Math.abs(numbers[i]!));
  return most;
}

/** Root mean square of the difference over that of what is expected. */
export function relativeDifference(ours: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(ours.length).toBe(expected.length);
  let [difference, whole] = [0, 0];
  for (let i = 0; i < ours.length; i++) {
    difference += (ours[i]! - expected[i]!) ** 2;
    whole += expected[i]! ** 2;
  }
  return Math.sqrt(difference / whole);
}

export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  return largest(Float64Array.from(a, (value, i) => value - b[i]!));
}
