import fc from "fast-check";
import { expect, it } from "vitest";
import { permutationTest } from "./permutation.js";

const resampling = { seed: 11, resamples: 20_000 };

it("draws what it would count: both ways agree", () => {
  // 20 differences that matter and 5 so small that they do not: 25 are drawn, 20 are counted.
  const differences = Float64Array.from({ length: 20 }, (_, i) => Math.cos(3 * i) + 0.3);
  const counted = permutationTest(differences, resampling);
  const drawn = permutationTest(Float64Array.of(...differences, ...Array(5).fill(1e-15)), resampling);
  expect([counted.exact, drawn.exact]).toEqual([true, false]);
  const standardError = (2 * Math.sqrt((counted.p / 2) * (1 - counted.p / 2))) / Math.sqrt(resampling.resamples);
  expect(Math.abs(drawn.p - counted.p)).toBeLessThan(4 * standardError);
});

it.each([21, 24, 25, 31, 33, 64, 100])("gives %i differences of one sign the smallest p there is", (count) => {
  const { p } = permutationTest(new Float64Array(count).fill(0.1), resampling);
  expect(p).toBe(2 / 20_001); // one in 2²⁰ at most has all signs equal
});

it("does not see differences of 0", () => {
  const difference = fc.double({ min: -1, max: 1, noNaN: true });
  fc.assert(
    fc.property(fc.array(difference, { maxLength: 12 }), fc.nat(30), (differences, zeros) => {
      const padded = Float64Array.of(...differences, ...Array(zeros).fill(0));
      expect(permutationTest(padded, resampling)).toEqual(permutationTest(Float64Array.from(differences), resampling));
    }),
    { numRuns: 50 },
  );
});

it("counts sums as equal that differ by rounding alone", () => {
  // 0.1 + 0.2 - 0.3 is not 0 in float64: of the 8 assignments' sums 2 are 0, 3 above and 3 below.
  expect(permutationTest(Float64Array.of(0.1, 0.2, -0.3), resampling)).toEqual({ p: 1, exact: true });
  // ±0.1 ± 0.2 ± 0.3: 0.6 is reached once; 0.4, 0.2 and twice 0 lie below it.
  expect(permutationTest(Float64Array.of(0.1, 0.2, 0.3), resampling)).toEqual({ p: 0.25, exact: true });
});
