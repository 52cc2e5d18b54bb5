import { afterAll, describe, expect, it } from "vitest";
import { engineCases } from "../../../test/support/engines.js";
import { InputError } from "../../errors.js";
import { createMersenneTwister } from "../../random/mersenne.js";
import { fromBfloat16, toBfloat16 } from "../../tensor/dtype.js";
import { tilesOf } from "../onnxruntime/gram.js";
import { type Description, type Library, openLibrary } from "./library.js";
import { createWidenedProducts, openProducts } from "./widened.js";

const { title, isSkipped } = engineCases.find(
  ({ engine, precision }) => engine === "onednn" && precision === "float32",
)!;
const library = isSkipped ? undefined : openLibrary();

const { random } = createMersenneTwister(11);
const numbers = (length: number) => Float32Array.from({ length }, () => 2 * random() - 1);
const halvesOf = (values: Float32Array) => {
  const halves = new Uint16Array(values.length);
  toBfloat16(values, halves);
  return halves;
};
const halves = (length: number) => halvesOf(numbers(length));

/** The largest of sums of so many products of numbers below 1 may be so far off in float32. */
const tolerance = (inputs: number) => inputs * 2 ** -23;

describe.skipIf(!library)(`bfloat16 where float32 alone is multiplied: ${title}`, () => {
  const products = library && createWidenedProducts(library, 2);
  afterAll(() => products?.dispose());
  const [rows, inputs, outputs] = [130, 72, 200];
  const linear = (x: Uint16Array, weight: Float32Array | Uint16Array) => {
    const y = new Float32Array(rows * outputs);
    products!.linear({ data: x, rows, columns: inputs }, weight, undefined, y);
    return y;
  };

  it("linears are sums of products of the rounded factors", () => {
    const [x, weight] = [halves(rows * inputs), numbers(outputs * inputs)];
    const y = linear(x, weight);
    expect(linear(x, halvesOf(weight))).toEqual(y);
    const [x32, weight32] = [x, halvesOf(weight)].map(fromBfloat16);
    let worst = 0;
    for (let at = 0; at < y.length; at++) {
      const [r, o] = [Math.floor(at / outputs), at % outputs];
      let sum = 0;
      for (let i = 0; i < inputs; i++) sum += x32![r * inputs + i]! * weight32![o * inputs + i]!;
      worst = Math.max(worst, Math.abs(y[at]! - sum));
    }
    expect(worst).toBeLessThan(tolerance(inputs));
  });

  it("results are rounded where bfloat16 is wanted, after what is done to them last", () => {
    const [x, weight, plus] = [halves(rows * inputs), halves(outputs * inputs), numbers(rows * outputs)];
    const [y, rounded] = [new Float32Array(rows * outputs), new Uint16Array(rows * outputs)];
    const operand = { data: x, rows, columns: inputs };
    products!.linear(operand, weight, undefined, y, { plus });
    products!.linear(operand, weight, undefined, rounded, { plus });
    expect(rounded).toEqual(halvesOf(y));
  });

  it("weights are those of the array, not of what lay in its memory before", () => {
    const x = halves(rows * inputs);
    const [first, second] = [halves(inputs * outputs), halves(inputs * outputs)];
    const expected = linear(x, second.slice());
    const memory = first.slice();
    expect(linear(x, memory)).not.toEqual(expected);
    memory.set(second);
    expect(linear(x, new Uint16Array(memory.buffer))).toEqual(expected);
  });

  // As attention has them: heads side by side in the rows of keys, values and what comes out, two heads of queries a head of keys.
  it("matrices with gaps between their rows are multiplied where they lie", () => {
    const [keyHeads, group, queries, keys, size, all] = [2, 2, 5, 9, 16, 3];
    const heads = keyHeads * group;
    const [shares, values] = [halves(heads * queries * keys), halves(keys * all * size)];
    const width = (all * group + 1) * size;
    const untouched = 0x3f80;
    const out = new Uint16Array(queries * width).fill(untouched);
    products!.multiply(
      { data: shares, sizes: [keyHeads, group, queries, keys] },
      // No more than where it begins, at the second head.
      { data: values.subarray(size, size + 1), sizes: [keyHeads, 1, keys, size], strides: [size, size, all * size, 1] },
      { data: out, sizes: [keyHeads, group, queries, size], strides: [group * size, size, width, 1] },
    );
    const [shares32, values32, out32] = [shares, values, out].map(fromBfloat16);
    for (let q = 0; q < queries; q++) {
      for (let column = 0; column < width; column++) {
        const found = out32![q * width + column]!;
        if (column >= heads * size) {
          expect(out[q * width + column]).toBe(untouched);
          continue;
        }
        const [head, i] = [Math.floor(column / size), column % size];
        let sum = 0;
        for (let k = 0; k < keys; k++) {
          const value = values32![(k * all + 1 + Math.floor(head / group)) * size + i]!;
          sum += shares32![(head * queries + q) * keys + k]! * value;
        }
        // Half a unit in the last place of a bfloat16.
        expect(Math.abs(found - sum)).toBeLessThanOrEqual(2 ** -8 * Math.abs(sum) + tolerance(keys));
      }
    }
  });

  it("transposed factors too", () => {
    const [heads, queries, keys, size] = [3, 7, 20, 8];
    const [q, k] = [halves(heads * queries * size), halves(keys * heads * size)];
    const scores = new Float32Array(heads * queries * keys);
    products!.multiply(
      { data: q, sizes: [heads, queries, size] },
      { data: k, sizes: [heads, size, keys], strides: [size, 1, heads * size], isPacked: true },
      { data: scores, sizes: [heads, queries, keys] },
    );
    const [q32, k32] = [q, k].map(fromBfloat16);
    for (let at = 0; at < scores.length; at++) {
      const [head, query, key] = [Math.floor(at / (queries * keys)), Math.floor(at / keys) % queries, at % keys];
      let sum = 0;
      for (let i = 0; i < size; i++) {
        sum += q32![(head * queries + query) * size + i]! * k32![(key * heads + head) * size + i]!;
      }
      expect(Math.abs(scores[at]! - sum)).toBeLessThan(tolerance(size));
    }
  });

  it("softmax is rounded, and leaves the scores as they are", () => {
    const columns = 40;
    const scores = numbers(3 * columns);
    const [y, rounded] = [new Float32Array(scores.length), new Uint16Array(scores.length)];
    const before = scores.slice();
    products!.softmax!(scores, y, columns);
    products!.softmax!(scores, rounded, columns);
    expect(scores).toEqual(before);
    expect(rounded).toEqual(halvesOf(y));
    expect(y.subarray(0, columns).reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 5);
  });

  it("Gram matrices are of the rounded numbers", () => {
    const [many, columns] = [50, 30];
    const x = halves(many * columns);
    const tiles = tilesOf(columns).map(({ row, column }) => {
      return { row, column, sum: new Float32Array((row.to - row.from) * (column.to - column.from)) };
    });
    products!.addGram({ data: x, rows: many, columns }, tiles);
    const x32 = fromBfloat16(x);
    for (const { row, column, sum } of tiles) {
      const width = column.to - column.from;
      for (let i = 0; i < sum.length; i++) {
        const [a, b] = [row.from + Math.floor(i / width), column.from + (i % width)];
        let expected = 0;
        for (let r = 0; r < many; r++) expected += x32[r * columns + a]! * x32[r * columns + b]!;
        expect(Math.abs(sum[i]! - expected)).toBeLessThan(tolerance(many));
      }
    }
  });
});

describe.skipIf(!library)(`which products there are: ${title}`, () => {
  /** oneDNN on a processor without bfloat16. */
  const withoutBfloat16 = (): Library => {
    const half = new Set<Description>();
    return {
      ...library!,
      describe(sizes, type, strides) {
        const made = library!.describe(sizes, type, strides);
        if (type === "bfloat16") half.add(made);
        return made;
      },
      product(matrices) {
        if (half.has(matrices.a)) throw new InputError("no such product");
        return library!.product(matrices);
      },
    };
  };

  it("float32 ones take the place of those that the processor does not have", () => {
    const products = openProducts(withoutBfloat16(), "bfloat16", 1);
    const y = new Float32Array(4);
    const x = halvesOf(Float32Array.of(1, 2, 3, 4));
    products.linear({ data: x, rows: 2, columns: 2 }, Float32Array.of(1, 0, 0, 1), undefined, y);
    expect(products.precision).toBe("bfloat16");
    expect([...y]).toEqual([1, 2, 3, 4]);
    products.dispose();
  });

  it("plain loops do not", () => {
    const slow: Library = { ...library!, implementation: () => "ref:any" };
    for (const precision of ["float32", "bfloat16"] as const) {
      expect(() => openProducts(slow, precision, 1)).toThrow(InputError);
    }
  });
});
