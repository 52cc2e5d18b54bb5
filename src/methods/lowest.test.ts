import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { kernelLowest, plainLowest, type ZeroLowest } from "./lowest.js";

// Few distinct values make ties; the others cover denormals, both zeros and both signs.
const numbers = fc.oneof(
  fc.integer({ min: -3, max: 3 }).map(Number),
  fc.float({ noNaN: true, noDefaultInfinity: true }),
);
const weights = fc
  .record({ rows: fc.integer({ min: 1, max: 4 }), columns: fc.integer({ min: 1, max: 90 }) })
  .chain(({ rows, columns }) =>
    fc.record({
      rows: fc.constant(rows),
      columns: fc.constant(columns),
      values: fc.array(numbers, { minLength: rows * columns, maxLength: rows * columns }),
      scale: fc.array(fc.oneof(fc.constant(1), fc.float({ min: 0, max: 8, noNaN: true })), {
        minLength: columns,
        maxLength: columns,
      }),
      count: fc.nat(columns),
    }),
  );

describe.each([
  ["plain", plainLowest],
  ["kernel", kernelLowest()],
] as const)("zeroLowest, %s", (_, zeroLowest: ZeroLowest | undefined) => {
  it("zeroes what a stable sort of the scores puts first, and leaves the rest and the weight itself alone", () => {
    fc.assert(
      fc.property(weights, ({ rows, columns, values, scale, count }) => {
        const data = Float32Array.from(values);
        const scales = Float32Array.from(scale);
        const given = data.slice();
        const result = zeroLowest!({ rows, columns, data }, scales, count);
        for (let r = 0; r < rows; r++) {
          const row = [...given.subarray(r * columns, (r + 1) * columns)];
          const scores = row.map((value, c) => Math.fround(Math.abs(value) * scales[c]!));
          const first = [...scores.keys()].sort((a, b) => scores[a]! - scores[b]!).slice(0, count);
          for (const c of first) row[c] = 0;
          expect([...result.data.subarray(r * columns, (r + 1) * columns)]).toEqual(row);
        }
        expect(data).toEqual(given);
      }),
    );
  });

  it("cuts what is larger than a part", () => {
    const [rows, columns] = [40, 9_000];
    const data = Float32Array.from({ length: rows * columns }, (_, i) => ((i * 7919) % columns) + 1);
    const result = zeroLowest!({ rows, columns, data }, new Float32Array(columns).fill(1), 4_000);
    for (const [i, value] of result.data.entries()) {
      if (value !== (data[i]! <= 4_000 ? 0 : data[i])) expect.fail(`at ${i}: ${value} of ${data[i]}`);
    }
  });
});
