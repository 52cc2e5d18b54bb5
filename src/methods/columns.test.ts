import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { kernelColumns, plainColumns, type WorkingColumns } from "./columns.js";

type Make = (rows: number, width: number) => WorkingColumns;

const sizes = fc.record({ rows: fc.integer({ min: 1, max: 5 }), width: fc.integer({ min: 1, max: 70 }) });
const seeds = fc.integer({ min: 1, max: 2 ** 31 - 2 });

/** Values in [-1, 1), u upper triangular with a diagonal in [1, 2), and about half of the mask set. */
function filled(make: Make, { rows, width }: { rows: number; width: number }, seed: number): WorkingColumns {
  let state = seed;
  const next = () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
  const columns = make(rows, width);
  for (let i = 0; i < rows * width; i++) {
    columns.values[i] = 2 * next() - 1;
    columns.mask[i] = next() < 0.5 ? 1 : 0;
  }
  for (let i = 0; i < width; i++) {
    columns.u[i * width + i] = 1 + next();
    for (let j = i + 1; j < width; j++) columns.u[i * width + j] = (next() - 0.5) / width;
  }
  return columns;
}

/** As the definition has it: one entry after the other, each on everything to its right. */
function oneByOne({ rows, width, values, mask, u }: WorkingColumns): number[] {
  const expected = Array.from(values);
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < width; i++) {
      if (mask[r * width + i] === 0) continue;
      const error = expected[r * width + i]! / u[i * width + i]!;
      expected[r * width + i] = error;
      for (let j = i + 1; j < width; j++) expected[r * width + j]! -= error * u[i * width + j]!;
    }
  }
  return expected;
}

describe.each([
  ["plain loops", plainColumns],
  ["WebAssembly", kernelColumns as Make],
])("%s", (_, make) => {
  test("every entry that goes acts on all that is right of it", () => {
    fc.assert(
      fc.property(sizes, seeds, (size, seed) => {
        const columns = filled(make, size, seed);
        const expected = oneByOne(columns);
        columns.correctRows(0, size.width);
        for (const [i, value] of expected.entries()) expect(Math.abs(columns.values[i]! - value)).toBeLessThan(1e-12);
      }),
    );
  });

  test("a few columns at a time come to the same", () => {
    fc.assert(
      fc.property(sizes, seeds, fc.integer({ min: 1, max: 40 }), (size, seed, step) => {
        const columns = filled(make, size, seed);
        const expected = oneByOne(columns);
        for (let begin = 0; begin < size.width; begin += step) {
          columns.correctRows(begin, Math.min(begin + step, size.width));
        }
        for (const [i, value] of expected.entries()) expect(Math.abs(columns.values[i]! - value)).toBeLessThan(1e-12);
      }),
    );
  });
});

test("WebAssembly gives the very numbers of the plain loops", () => {
  fc.assert(
    fc.property(sizes, seeds, (size, seed) => {
      const [plain, kernel] = [plainColumns, kernelColumns as Make].map((make) => {
        const columns = filled(make, size, seed);
        columns.correctRows(0, size.width);
        return Array.from(columns.values);
      });
      expect(kernel).toEqual(plain);
    }),
  );
});
