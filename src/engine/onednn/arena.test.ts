import { describe, expect, it } from "vitest";
import { fromBfloat16, rounded } from "../../tensor/dtype.js";
import { openArena } from "./arena.js";

/** Numbers in [-2, 2) that do not repeat. */
const numbers = (length: number, seed: number) =>
  Float32Array.from({ length }, (_, i) => ((Math.imul(i + 1, 48271 + 2 * seed) >>> 4) % 40_009) / 10_000 - 2);

function expectNear(ours: ArrayLike<number>, expected: ArrayLike<number>, relative = 1e-6): void {
  expect(ours.length).toBe(expected.length);
  for (let i = 0; i < ours.length; i++) {
    expect(Math.abs(ours[i]! - expected[i]!), `at ${i}`).toBeLessThanOrEqual(relative * (1 + Math.abs(expected[i]!)));
  }
}

describe.each(["bfloat16", "rounded"] as const)("operands that are kept as %s", (kept) => {
  const arena = openArena(kept);
  const { kernel } = arena;
  const operandBytes = kept === "bfloat16" ? 2 : 4;

  function put(data: Float32Array): number {
    const address = arena.allocate(data.byteLength);
    arena.floats(address, data.length).set(data);
    return address;
  }

  function operandsAt(address: number, length: number): Float32Array {
    return kept === "bfloat16" ? fromBfloat16(arena.halves(address, length)) : arena.floats(address, length).slice();
  }

  /** What a function writes as float32, which is then also what it writes as operands, rounded. */
  function both(length: number, compute: (out: number, operand: number) => void): Float32Array {
    const out = arena.allocate(4 * length);
    const operand = arena.allocate(operandBytes * length);
    compute(out, operand);
    const floats = arena.floats(out, length).slice();
    expect(operandsAt(operand, length)).toEqual(rounded(floats, "BF16"));
    const alone = arena.allocate(operandBytes * length);
    compute(0, alone);
    expect(operandsAt(alone, length)).toEqual(operandsAt(operand, length));
    return floats;
  }

  // Of odd sizes too: eight or four numbers at a time leave some over.
  describe.each([1, 4, 7, 16, 45])("rows of %i numbers", (columns) => {
    const rows = 37;
    const [x, y] = [numbers(rows * columns, 1), numbers(rows * columns, 2)];

    it("adds and multiplies", () => {
      const [a, b] = [put(x), put(y)];
      const sum = both(x.length, (out, operand) => kernel.add(a, b, out, operand, x.length));
      const product = both(x.length, (out, operand) => kernel.multiply(a, b, out, operand, x.length));
      expect(sum).toEqual(x.map((value, i) => value + y[i]!));
      expect(product).toEqual(x.map((value, i) => value * y[i]!));
    });

    it("keeps what is no number, whatever its bits", () => {
      const bits = new Uint32Array(x.length).fill(0x7fffffff);
      const floats = new Float32Array(bits.buffer);
      const [a, b] = [put(floats), put(y)];
      expect(both(x.length, (out, operand) => kernel.add(a, b, out, operand, x.length)).every(Number.isNaN)).toBe(true);
    });

    it("divides every row by its root mean square, times the weight", () => {
      const weight = numbers(columns, 3);
      const [a, w] = [put(x), put(weight)];
      const ours = both(x.length, (out, operand) => kernel.rmsNorm(a, w, out, operand, columns, 1e-3, rows));
      const expected = x.map((value, i) => {
        const row = x.subarray(i - (i % columns), i - (i % columns) + columns);
        const square = row.reduce((total, one) => total + one * one, 0) / columns;
        return (value / Math.sqrt(square + 1e-3)) * weight[i % columns]!;
      });
      expectNear(ours, expected);
    });

    it("rounds what is there, and in its place where there is room", () => {
      const at = put(x);
      both(x.length, (out, operand) => {
        kernel.add(at, put(new Float32Array(x.length)), out, 0, x.length);
        kernel.round(at, operand, x.length);
      });
      if (kept === "bfloat16") return;
      kernel.round(at, at, x.length);
      expect(operandsAt(at, x.length)).toEqual(rounded(x, "BF16"));
    });

    it("sums the squares of every column, of float32 and of operands", () => {
      const sums = arena.allocate(8 * columns);
      const room = arena.allocate(4 * columns);
      const operand = arena.allocate(operandBytes * x.length);
      kernel.round(put(x), operand, x.length);
      const isHalf = kept === "bfloat16";
      for (const [at, of, data] of [[put(x), false, x] as const, [operand, isHalf, rounded(x, "BF16")] as const]) {
        kernel.squares(at, of, sums, room, rows, columns);
        const expected = Array.from({ length: columns }, (_, c) => {
          let sum = 0;
          for (let r = 0; r < rows; r++) sum += data[r * columns + c]! ** 2;
          return sum;
        });
        expectNear(arena.doubles(sums, columns), expected);
      }
    });

    it("adds a mask from each query's first hidden key on", () => {
      const queries = 5;
      const matrices = 3;
      const scores = numbers(matrices * queries * columns, 4);
      const mask = Float32Array.from({ length: queries * columns }, (_, i) =>
        i % columns > Math.floor(i / columns) && i % 3 > 0 ? Number.NEGATIVE_INFINITY : 0,
      );
      const firsts = Int32Array.from({ length: queries }, (_, q) => {
        const first = mask.subarray(q * columns, (q + 1) * columns).findIndex((value) => value !== 0);
        return first < 0 ? columns : first;
      });
      arena.reset([mask, firsts]);
      const at = put(scores);
      kernel.mask(at, arena.table(mask), arena.table(firsts), queries, columns, matrices * queries);
      expect(arena.floats(at, scores.length)).toEqual(scores.map((score, i) => score + mask[i % mask.length]!));
    });

    it("packs the queries of a chunk head by head", () => {
      const [windows, tokens, heads, begin, queries] = [2, 6, 3, 2, 4];
      const q = numbers(windows * tokens * heads * columns, 5);
      const length = windows * heads * queries * columns;
      const at = put(q);
      const [out, operand] = [arena.allocate(4 * length), arena.allocate(operandBytes * length)];
      kernel.pack(at, out, 0, 0.5, windows, tokens, begin, queries, heads, columns);
      kernel.pack(at, 0, operand, 0.5, windows, tokens, begin, queries, heads, columns);
      const expected = Float32Array.from({ length }, (_, i) => {
        const [token, head] = [begin + (Math.floor(i / columns) % queries), Math.floor(i / columns / queries) % heads];
        const window = Math.floor(i / columns / queries / heads);
        return 0.5 * q[((window * tokens + token) * heads + head) * columns + (i % columns)]!;
      });
      expect(arena.floats(out, length)).toEqual(expected);
      expect(operandsAt(operand, length)).toEqual(rounded(expected, "BF16"));
    });
  });

  it.each([
    [8, 4],
    [10, 3],
    [20, 8],
  ])("rotates heads of %i numbers by %i angles and leaves the rest", (size, pairs) => {
    const [rows, heads] = [5, 2];
    const x = numbers(rows * heads * size, 6);
    const angles = Float32Array.from({ length: rows * pairs }, (_, i) => i / 3);
    const [at, cos, sin] = [put(x), put(angles.map(Math.cos)), put(angles.map(Math.sin))];
    const ours = both(x.length, (out, operand) => kernel.rope(at, cos, sin, out, operand, heads, size, pairs, rows));
    const expected = x.map((value, i) => {
      const [dimension, row] = [i % size, Math.floor(i / size / heads)];
      if (dimension >= 2 * pairs) return value;
      const angle = angles[row * pairs + (dimension % pairs)]!;
      const other = dimension < pairs ? -x[i + pairs]! : x[i - pairs]!;
      return value * Math.cos(angle) + other * Math.sin(angle);
    });
    expectNear(ours, expected);
  });
});

it("uses memory again that was freed, and keeps tables where they are", () => {
  const arena = openArena("float32");
  const table = numbers(100, 7);
  arena.reset([table]);
  const at = arena.table(table);
  const first = arena.allocate(1000);
  arena.free(first);
  expect(arena.allocate(1000)).toBe(first);
  arena.reset([table]);
  expect(arena.table(table)).toBe(at);
  expect(arena.floats(at, 100)).toEqual(table);
  expect(arena.allocate(1000)).toBe(first);
});
