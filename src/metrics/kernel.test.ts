import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { type Arithmetic, plainArithmetic } from "./arithmetic.js";
import { fastestArithmetic, kernelArithmetic } from "./kernel.js";
import { TOP } from "./softmax.js";

afterEach(() => {
  vi.unstubAllGlobals();
  vi.resetModules();
});

const BAD = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];

// Vocabularies on either side of the kernel's steps: of 2 tokens, and of 8 (float64) or 16 (float32).
describe.each([
  ["TypeScript", plainArithmetic],
  ["WebAssembly", fastestArithmetic],
])("in %s", (_, createArithmetic) => {
  test("the likeliest tokens are in the order of a stable sort by logit", () => {
    const logits = fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 70 });
    fc.assert(
      fc.property(logits, fc.nat(3), fc.boolean(), (values, before, single) => {
        const padded = [...Array(before).fill(9), ...values];
        const row = single ? Float32Array.from(padded) : Float64Array.from(padded);
        const { top } = createArithmetic(values.length).softmax(0, row, before)!;
        const sorted = values.map((_, id) => id).sort((a, b) => values[b]! - values[a]! || a - b);
        expect([...top.ids]).toEqual([...sorted, -1, -1, -1, -1].slice(0, TOP));
        expect([...top.logits].slice(0, values.length)).toEqual(sorted.slice(0, TOP).map((id) => values[id]));
      }),
    );
  });

  test.each(BAD)("%s is found anywhere in a row, and only there", (bad) => {
    for (const Row of [Float32Array, Float64Array])
      for (let vocabulary = 1; vocabulary <= 35; vocabulary++) {
        const arithmetic = createArithmetic(vocabulary);
        for (let at = 0; at < vocabulary; at++) {
          const row = new Row(vocabulary + 2).map((_, i) => (i - 1 === at ? bad : -i));
          expect(arithmetic.softmax(0, row, 1)).toBeUndefined();
        }
        const beside = new Row(vocabulary + 2).map((_, i) => (i === 0 || i > vocabulary ? bad : -i));
        expect(arithmetic.softmax(0, beside, 1)).toBeDefined();
      }
  });

  test("the sum of n equal logits' exponentials is n, whatever n was before", () => {
    for (const n of [1, 2, 3, 16, 17, 300_001, 5]) {
      const arithmetic = createArithmetic(n);
      const distribution = arithmetic.softmax(1, new Float32Array(n).fill(-7), 0)!;
      expect(distribution.sum).toBe(n);
      expect(distribution.lnSum).toBeCloseTo(Math.log(n), 14);
    }
  });

  test("exponentials are Math.exp's to 2e-15 of themselves, down to 1e-307", () => {
    const x = fc.double({ min: -707.9, max: -1e-300, noNaN: true });
    fc.assert(
      fc.property(x, fc.nat(1), (value, at) => {
        const row = Float64Array.of(0, 0, -1e6);
        row[at] = value;
        row[1 - at] = 0;
        // Of the loss of the likeliest of two tokens, ln(1 + exp(x)), the other's exponential is what is left.
        const { lnSum } = createArithmetic(3).softmax(0, row, 0)!;
        expect(Math.abs(Math.expm1(lnSum) / Math.exp(value) - 1)).toBeLessThan(2e-15);
      }),
      { numRuns: 1000 },
    );
  });
});

/** Logits like a language model's, by a linear congruential generator: a base and one that differs by about `step`. */
function rows(vocabulary: number, step: number): readonly [Float64Array, Float64Array] {
  let state = 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  const base = Float64Array.from({ length: vocabulary }, () => 3 * normal());
  return [base, base.map((value) => value + step * normal())];
}

test.each([1e-5, 1e-3, 0.02, 0.1, 0.5, 5, 300])(
  "differences of about %d: the kernel's divergences are the specification's, to 1e-11 of themselves",
  (step) => {
    for (const vocabulary of [4999, 5000]) {
      const [base, other] = rows(vocabulary, step);
      const figures = (arithmetic: Arithmetic) =>
        arithmetic.divergences(arithmetic.softmax(0, base, 0)!, arithmetic.softmax(1, other, 0)!);
      const expected = figures(plainArithmetic(vocabulary));
      const actual = figures(kernelArithmetic(vocabulary)!);
      for (const name of ["jsd", "kl", "klReverse"] as const)
        expect(Math.abs(actual[name] / expected[name] - 1), name).toBeLessThan(1e-11);
      expect(Math.abs(actual.totalVariation - expected.totalVariation)).toBeLessThan(1e-14);
    }
  },
);

test.each([
  ["WebAssembly is missing", undefined],
  ["its SIMD instructions are missing", { validate: () => false }],
])("where %s the plain arithmetic takes over", async (_, there) => {
  vi.resetModules();
  vi.stubGlobal("WebAssembly", there);
  const kernel = await import("./kernel.js");
  expect(kernel.kernelArithmetic(2)).toBeUndefined();
  expect(kernel.fastestArithmetic(2).softmax(0, Float32Array.of(1, 1), 0)!.sum).toBe(2);
});
