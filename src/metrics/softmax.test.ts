import fc from "fast-check";
import { expect, test } from "vitest";
import { exponentials, findTop, TOP, topTokens } from "./softmax.js";

test("exponentials are Math.exp's to a few units in the last place", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: -708, max: 0, minExcluded: true, noNaN: true }), { maxLength: 50 }), (x) => {
      const out = new Float64Array(x.length);
      const sum = exponentials(Float64Array.from(x), 0, 0, x.length, 0, out);
      x.forEach((value, i) => {
        expect(Math.abs(out[i]! / Math.exp(value) - 1)).toBeLessThan(1e-15);
      });
      expect(sum).toBeCloseTo(
        x.reduce((total, value) => total + Math.exp(value), 0),
        12,
      );
    }),
  );
});

test("exponentials of 0 are 1 exactly, and of what is below float64's normal numbers 0", () => {
  const out = new Float64Array(4);
  exponentials(Float64Array.of(3, 3 - 709, 3 - 5000, -1e300), 0, 0, 4, 3, out);
  expect([...out]).toEqual([1, 0, 0, 0]);
});

test("findTop orders by logit, then by id, as a stable sort does", () => {
  const logits = fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(logits, fc.nat(3), (values, before) => {
      const top = topTokens();
      const padded = Float32Array.from([...Array(before).fill(9), ...values]);
      expect(findTop(padded, before, values.length, top)).toBe(true);
      const sorted = values.map((_, id) => id).sort((a, b) => values[b]! - values[a]! || a - b);
      expect([...top.ids]).toEqual([...sorted, -1, -1, -1, -1].slice(0, TOP));
    }),
  );
});

test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])("findTop refuses %s anywhere", (bad) => {
  for (let at = 0; at < 9; at++) {
    const logits = Float32Array.from({ length: 9 }, (_, i) => (i === at ? bad : -i));
    expect(findTop(logits, 0, 9, topTokens())).toBe(false);
  }
});
