import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { comparePaired } from "./compare.js";
import type { Interval } from "./interval.js";

const score = fc.oneof(
  fc.double({ min: 0, max: 1, noNaN: true }),
  fc.nat(6).map((k) => k / 6),
);
const bit = fc.constantFrom(0, 1);
const pairsOf = (value: fc.Arbitrary<number>, minLength: number) =>
  fc
    .array(fc.tuple(value, value), { minLength, maxLength: 60 })
    .map((pairs) => [pairs.map(([base]) => base), pairs.map(([, compressed]) => compressed)] as const);

const cases = [
  { scores: "0/1 scores", binary: true, value: bit },
  { scores: "other scores", binary: false, value: score },
];
const runs = { numRuns: 50 };

function expectInterval(actual: Interval | null, low: number, high: number): void {
  expect(actual?.[0]).toBeCloseTo(low, 12);
  expect(actual?.[1]).toBeCloseTo(high, 12);
}

describe.each(cases)("$scores", ({ binary, value }) => {
  const options = { binary, seed: 7, resamples: 400, permutations: 300 };

  it("have p in (0, 1] and intervals around their means", () => {
    fc.assert(
      fc.property(pairsOf(value, 2), ([base, compressed]) => {
        const result = comparePaired(base, compressed, options);
        expect(result.p).toBeGreaterThan(0);
        expect(result.p).toBeLessThanOrEqual(1);
        for (const { mean, interval } of [result.base, result.compressed, result.difference]) {
          expect(interval![0]).toBeLessThanOrEqual(mean! + 1e-12);
          expect(interval![1]).toBeGreaterThanOrEqual(mean! - 1e-12);
        }
        expect(result.difference.mean).toBeCloseTo(result.compressed.mean! - result.base.mean!, 12);
      }),
      runs,
    );
  });

  it("change sign, not p, when the models change places", () => {
    fc.assert(
      fc.property(pairsOf(value, 2), ([base, compressed]) => {
        const one = comparePaired(base, compressed, options);
        const other = comparePaired(compressed, base, options);
        expect(other.p).toBe(one.p);
        expect(other.base).toEqual(one.compressed);
        expect(other.difference.mean! + one.difference.mean!).toBeCloseTo(0, 12);
        expectInterval(other.difference.interval, -one.difference.interval![1], -one.difference.interval![0]);
        expect(other.flips?.rightToWrong).toBe(one.flips?.wrongToRight);
        expect(other.changes?.worse).toBe(one.changes?.better);
      }),
      runs,
    );
  });

  it("give the same result for the same seed, to the last digit", () => {
    fc.assert(
      fc.property(pairsOf(value, 0), fc.maxSafeNat(), ([base, compressed], seed) => {
        const result = comparePaired(base, compressed, { ...options, seed });
        expect(comparePaired(base, compressed, { ...options, seed })).toEqual(result);
        expect(result).toMatchObject({ seed, resamples: 400, permutations: 300, n: base.length });
      }),
      runs,
    );
  });

  it("are null where there are no items", () => {
    const nothing = { mean: null, standardError: null, interval: null };
    expect(comparePaired([], [], options)).toMatchObject({
      ...{ n: 0, base: nothing, compressed: nothing, difference: nothing },
      ...{ recovery: null, p: null },
    });
  });

  it("have a mean and p = 1, but no spread, for one item", () => {
    const { base, difference, p, recovery } = comparePaired([1], [0], options);
    expect(base).toMatchObject({ mean: 1, standardError: null });
    expect(difference).toMatchObject({ mean: -1, standardError: null });
    expect(recovery).toBe(0);
    expect(p).toBe(1);
    if (!binary) expect(difference.interval).toBeNull();
  });
});

describe("other scores", () => {
  const items = Array.from({ length: 300 }, (_, i) => i);
  const base = items.map((i) => Math.sin(i) ** 2);
  const compressed = items.map((i) => base[i]! - 0.1 * Math.cos(7 * i) - 0.008);

  it("differ a little by the seed", () => {
    const one = comparePaired(base, compressed, { binary: false, seed: 1 });
    const other = comparePaired(base, compressed, { binary: false, seed: 2 });
    expect(one.test).toBe("permutation");
    expect(other.difference.interval).not.toEqual(one.difference.interval);
    const width = one.difference.interval![1] - one.difference.interval![0];
    for (const i of [0, 1] as const)
      expect(Math.abs(other.difference.interval![i] - one.difference.interval![i])).toBeLessThan(0.06 * width);
    expect(other.p).not.toBe(one.p);
    expect(Math.abs(other.p! - one.p!)).toBeLessThan(0.01);
  });

  it("have an interval as wide as the normal approximation where there are many items", () => {
    const { interval, standardError } = comparePaired(base, compressed, { binary: false, seed: 1 }).difference;
    expect((interval![1] - interval![0]) / (2 * 1.96 * standardError!)).toBeCloseTo(1, 1);
  });

  it("count what became worse and better", () => {
    const { changes, flips } = comparePaired([0.5, 0.5, 0.5], [0.4, 0.6, 0.7], { binary: false, seed: 1 });
    expect(changes).toEqual({ worse: 1, better: 2 });
    expect(flips).toBeNull();
  });

  it("that do not differ have p = 1", () => {
    expect(comparePaired(base, base, { binary: false, seed: 1 })).toMatchObject({ p: 1, recovery: 1 });
  });
});

it("has no recovery of a base that scores 0", () => {
  expect(comparePaired([0, 0], [1, 0], { binary: true, seed: 1 }).recovery).toBeNull();
});

it.each([
  { what: "lists of different lengths", base: [1, 0], compressed: [1], binary: true, message: /2 values against 1/ },
  { what: "NaN", base: [1, 0.5], compressed: [1, Number.NaN], binary: false, message: /value 1 is NaN/ },
  { what: "infinity", base: [-Infinity], compressed: [1], binary: false, message: /value 0 is -Infinity/ },
  { what: "a score that is not 0 or 1", base: [1, 0.5], compressed: [1, 1], binary: true, message: /score 1 is 0.5/ },
])("refuses $what", ({ base, compressed, binary, message }) => {
  const compare = () => comparePaired(base, compressed, { binary, seed: 1 });
  expect(compare).toThrow(RangeError);
  expect(compare).toThrow(message);
});

it.each([{ seed: -1 }, { seed: 0.5 }, { seed: 2 ** 53 }, { seed: 1, resamples: 0 }, { seed: 1, resamples: 2.5 }])(
  "refuses %o",
  (options) => {
    expect(() => comparePaired([1], [0], { binary: false, ...options })).toThrow(RangeError);
  },
);
