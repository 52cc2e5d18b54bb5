import fc from "fast-check";
import { expect, it } from "vitest";
import { holm } from "./holm.js";

const p = fc.double({ min: 0, max: 1, noNaN: true });

it("never lowers a p, keeps their order, and stays at most 1", () => {
  fc.assert(
    fc.property(fc.array(p), (raw) => {
      const adjusted = holm(raw);
      expect(adjusted).toHaveLength(raw.length);
      const pairs = raw.map((value, i) => [value, adjusted[i]!] as const).sort((a, b) => a[0] - b[0]);
      pairs.forEach(([value, holmed], i) => {
        expect(holmed).toBeGreaterThanOrEqual(value);
        expect(holmed).toBeLessThanOrEqual(1);
        expect(holmed).toBeGreaterThanOrEqual(pairs[i - 1]?.[1] ?? 0);
      });
    }),
  );
});

it("is at most Bonferroni's adjustment, and the same for the smallest p", () => {
  fc.assert(
    fc.property(fc.array(p, { minLength: 1 }), (raw) => {
      const bonferroni = raw.map((value) => Math.min(1, value * raw.length));
      const adjusted = holm(raw);
      for (const [i, value] of adjusted.entries())
        expect(value).toBeLessThanOrEqual(Math.max(...bonferroni, bonferroni[i]!));
      expect(Math.min(...adjusted)).toBe(Math.min(...bonferroni));
    }),
  );
});

it.each([Number.NaN, -0.1, 1.1])("refuses a p of %d", (wrong) => {
  expect(() => holm([0.5, wrong])).toThrow(RangeError);
});
