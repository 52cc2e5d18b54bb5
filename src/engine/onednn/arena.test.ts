import { describe, expect, it } from "vitest";
import { narrow, widen } from "../../tensor/dtype.js";
import { openArena } from "./arena.js";

const arena = openArena();
const { kernel } = arena;

/** Numbers in [-2, 2) that do not repeat. */
const numbers = (length: number, seed: number) =>
  Float32Array.from({ length }, (_, i) => ((Math.imul(i + 1, 48271 + 2 * seed) >>> 4) % 40_009) / 10_000 - 2);

function put(data: Float32Array): number {
  const address = arena.allocate(data.byteLength);
  arena.floats(address, data.length).set(data);
  return address;
}

/** What a function writes as float32, which is then also what it writes as bfloat16, rounded. */
function both(length: number, compute: (out: number, half: number) => void): Float32Array {
  const out = arena.allocate(4 * length);
  const half = arena.allocate(2 * length);
  compute(out, half);
  const floats = arena.floats(out, length).slice();
  const halves = new Uint8Array(arena.halves(half, length).slice().buffer);
  expect(widen(halves, "BF16")).toEqual(widen(narrow(floats, "BF16"), "BF16"));
  const alone = arena.allocate(2 * length);
  compute(0, alone);
  expect(arena.halves(alone, length)).toEqual(arena.halves(half, length));
  return floats;
}

function expectNear(ours: ArrayLike<number>, expected: ArrayLike<number>, relative = 1e-6): void {
  expect(ours.length).toBe(expected.length);
  for (let i = 0; i < ours.length; i++) {
    expect(Math.abs(ours[i]! - expected[i]!), `at ${i}`).toBeLessThanOrEqual(relative * (1 + Math.abs(expected[i]!)));
  }
}

// Of odd sizes too: eight or four numbers at a time leave some over.
describe.each([1, 4, 7, 16, 45])("rows of %i numbers", (columns) => {
  const rows = 37;
  const [x, y] = [numbers(rows * columns, 1), numbers(rows * columns, 2)];

  it("adds and multiplies", () => {
    const [a, b] = [put(x), put(y)];
    const sum = both(x.length, (out, half) => kernel.add(a, b, out, half, x.length));
    const product = both(x.length, (out, half) => kernel.multiply(a, b, out, half, x.length));
    expect(sum).toEqual(x.map((value, i) => value + y[i]!));
    expect(product).toEqual(x.map((value, i) => value * y[i]!));
  });

  it("keeps what is no number, whatever its bits", () => {
    const bits = new Uint32Array(x.length).fill(0x7fffffff);
    const floats = new Float32Array(bits.buffer);
    const [a, b] = [put(floats), put(y)];
    expect(both(x.length, (out, half) => kernel.add(a, b, out, half, x.length)).every(Number.isNaN)).toBe(true);
  });

  it("divides every row by its root mean square, times the weight", () => {
    const weight = numbers(columns, 3);
    const [a, w] = [put(x), put(weight)];
    const ours = both(x.length, (out, half) => kernel.rmsNorm(a, w, out, half, columns, 1e-3, rows));
    const expected = x.map((value, i) => {
      const row = x.subarray(i - (i % columns), i - (i % columns) + columns);
      const square = row.reduce((total, one) => total + one * one, 0) / columns;
      return (value / Math.sqrt(square + 1e-3)) * weight[i % columns]!;
    });
    expectNear(ours, expected);
  });

  it("sums the squares of every column, of float32 and of bfloat16", () => {
    const sums = arena.allocate(8 * columns);
    const room = arena.allocate(4 * columns);
    const halves = narrow(x, "BF16");
    const half = arena.allocate(halves.length);
    arena.halves(half, x.length).set(new Uint16Array(halves.buffer));
    for (const [at, isHalf, data] of [[put(x), false, x] as const, [half, true, widen(halves, "BF16")] as const]) {
      kernel.squares(at, isHalf, sums, room, rows, columns);
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
    const [out, half] = [arena.allocate(4 * length), arena.allocate(2 * length)];
    kernel.pack(at, out, 0, 0.5, windows, tokens, begin, queries, heads, columns);
    kernel.pack(at, 0, half, 0.5, windows, tokens, begin, queries, heads, columns);
    const expected = Float32Array.from({ length }, (_, i) => {
      const [token, head] = [begin + (Math.floor(i / columns) % queries), Math.floor(i / columns / queries) % heads];
      const window = Math.floor(i / columns / queries / heads);
      return 0.5 * q[((window * tokens + token) * heads + head) * columns + (i % columns)]!;
    });
    expect(arena.floats(out, length)).toEqual(expected);
    const halves = new Uint8Array(arena.halves(half, length).slice().buffer);
    expect(widen(halves, "BF16")).toEqual(widen(narrow(expected, "BF16"), "BF16"));
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
  const ours = both(x.length, (out, half) => kernel.rope(at, cos, sin, out, half, heads, size, pairs, rows));
  const expected = x.map((value, i) => {
    const [dimension, row] = [i % size, Math.floor(i / size / heads)];
    if (dimension >= 2 * pairs) return value;
    const angle = angles[row * pairs + (dimension % pairs)]!;
    const other = dimension < pairs ? -x[i + pairs]! : x[i - pairs]!;
    return value * Math.cos(angle) + other * Math.sin(angle);
  });
  expectNear(ours, expected);
});

it("uses memory again that was freed, and keeps tables where they are", () => {
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
