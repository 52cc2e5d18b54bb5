import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bitsOf, markLowest, selectMagnitude } from "./select.js";

// Few distinct values make ties; the others cover denormals, both zeros, both signs and infinity.
const values = fc.oneof(
  fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 300 }),
  fc.array(fc.float({ noNaN: true }), { minLength: 1, maxLength: 300 }),
);
const magnitudes = (data: Float32Array) => [...data].map(Math.abs);

describe("selectMagnitude", () => {
  it("is the value that sorting puts at the rank", () => {
    fc.assert(
      fc.property(values, fc.nat(), (list, seed) => {
        const data = Float32Array.from(list);
        const rank = seed % data.length;
        expect(selectMagnitude(data, rank)).toBe(magnitudes(data).sort((a, b) => a - b)[rank]);
      }),
    );
  });

  it("leaves the values as they are and takes a view into a larger buffer", () => {
    const data = Float32Array.of(9, -3, 1, -2, 9);
    expect(selectMagnitude(data.subarray(1, 4), 1)).toBe(2);
    expect([...data]).toEqual([9, -3, 1, -2, 9]);
  });

  it.each([
    ["constant", () => 7],
    ["ascending", (i: number) => i],
    ["descending", (i: number) => 2_000_000 - i],
  ])("takes linear time on two million %s values", (_, value) => {
    const data = Float32Array.from({ length: 2_000_000 }, (_, i) => value(i));
    const sorted = data.toSorted();
    const begin = performance.now();
    for (const rank of [0, 1_000_000, 1_999_999]) expect(selectMagnitude(data, rank)).toBe(sorted[rank]);
    expect(performance.now() - begin).toBeLessThan(10_000);
  });

  it.each([-1, 3, 0.5, Number.NaN])("refuses the rank %s of three values", (rank) => {
    expect(() => selectMagnitude(new Float32Array(3), rank)).toThrow(RangeError);
  });
});

describe("markLowest", () => {
  it("marks what a stable sort puts first", () => {
    fc.assert(
      fc.property(values, fc.nat(), (list, seed) => {
        const data = Float32Array.from(list);
        const count = seed % (data.length + 1);
        const keys = magnitudes(data);
        const first = new Set([...keys.keys()].sort((a, b) => keys[a]! - keys[b]!).slice(0, count));
        const mask = new Uint8Array(data.length).fill(9);
        markLowest(bitsOf(data), count, mask);
        expect([...mask]).toEqual(keys.map((_, i) => (first.has(i) ? 1 : 0)));
      }),
    );
  });
});
