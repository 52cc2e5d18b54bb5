import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { correlateCells, kendallTauB, pearson, spearman } from "./correlation.js";

const resampling = { seed: 3, resamples: 500 };
const value = fc.integer({ min: -5, max: 5 });
const columns = fc
  .array(fc.tuple(value, value), { minLength: 2, maxLength: 20 })
  .map((pairs) => [Float64Array.from(pairs, ([a]) => a), Float64Array.from(pairs, ([, b]) => b)] as const);

describe.each([
  { name: "pearson", correlation: pearson },
  { name: "spearman", correlation: spearman },
  { name: "kendallTauB", correlation: kendallTauB },
])("$name", ({ correlation }) => {
  it("is symmetric, within [-1, 1], and changes sign with either column", () => {
    fc.assert(
      fc.property(columns, ([a, b]) => {
        const r = correlation(a, b);
        if (r === null) {
          expect(new Set(a).size === 1 || new Set(b).size === 1).toBe(true);
          return;
        }
        expect(Math.abs(r)).toBeLessThanOrEqual(1 + 1e-12);
        expect(correlation(b, a)).toBeCloseTo(r, 12);
        expect(
          correlation(
            a.map((x) => -x),
            b,
          ),
        ).toBeCloseTo(-r, 12);
      }),
    );
  });

  it("is null where a column is constant", () => {
    expect(correlation(Float64Array.of(1, 1, 1), Float64Array.of(1, 2, 3))).toBeNull();
    expect(correlateCells([1, 1, 1], [1, 2, 3], correlation, resampling)).toMatchObject({
      value: null,
      interval: null,
    });
    expect(correlateCells([], [], correlation, resampling)).toMatchObject({ n: 0, value: null, interval: null });
  });

  it("leaves constant resamples out and says how many", () => {
    const { undefinedResamples, interval } = correlateCells([1, 2, 3], [3, 5, 9], correlation, resampling);
    expect(undefinedResamples / 500).toBeCloseTo(3 / 27, 1); // one cell drawn three times
    expect(interval?.[1]).toBeCloseTo(1, 12);
  });
});

it("rank correlations see the order alone", () => {
  fc.assert(
    fc.property(columns, ([a, b]) => {
      const cubes = a.map((x) => x ** 3);
      expect(spearman(cubes, b)).toBe(spearman(a, b));
      expect(kendallTauB(cubes, b)).toBe(kendallTauB(a, b));
    }),
  );
});

it("gives the same interval for the same seed", () => {
  const a = [1, 5, 2, 8, 4, 4, 9];
  const b = [2, 4, 1, 9, 6, 3, 7];
  const estimate = (seed: number) => correlateCells(a, b, spearman, { seed, resamples: 500 });
  expect(estimate(5)).toEqual(estimate(5));
  expect(estimate(6).value).toBe(estimate(5).value);
});

it("refuses columns of different lengths and values that are not finite", () => {
  expect(() => correlateCells([1, 2], [1], spearman, resampling)).toThrow(RangeError);
  expect(() => correlateCells([1, Number.NaN], [1, 2], spearman, resampling)).toThrow(/value 1 is NaN/);
});
