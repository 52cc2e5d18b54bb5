import { Tensor } from "onnxruntime-node";
import type { Whole } from "../onnxruntime/whole.js";
import { mapOthers } from "./after.js";
import type { Arena } from "./arena.js";
import type { Numbers, Products } from "./products.js";
import type { Step } from "./stages.js";
import { firstHidden, type Values } from "./values.js";

/** The operations that are computed here. */
export const COMPUTED: readonly Whole["kind"][] = [
  "alias",
  "rmsNorm",
  "add",
  "multiply",
  "silu",
  "rope",
  "attention",
  "squares",
  "gram",
];

/** Computes one step from values and puts what it makes among them. */
export function computeStep(step: Step, values: Values, products: Products, arena: Arena): void {
  const { kernel } = arena;
  switch (step.kind) {
    case "alias":
      return;
    case "linear": {
      const weight = values.given(step.weight);
      const bias = step.bias === undefined ? undefined : (values.given(step.bias).data as Float32Array);
      const [rows] = values.shape(step.x);
      // Before the room is made: a view of the arena is gone when it grows.
      values.operand(step.x);
      const y = values.makeProduct(step.y, rows, weight.dims[0]!);
      const after = mapOthers(step.after, (name) => values.floats(name));
      products.linear(values.operand(step.x), weight.data as Numbers, bias, y, after);
      return;
    }
    case "gram": {
      const tiles = step.tiles.map(({ row, column, before, y }) => {
        const sum = values.given(before);
        const result = values.fetched(y) ?? new Tensor("float32", new Float32Array(sum.size), sum.dims);
        const data = result.data as Float32Array;
        if (data !== sum.data) data.set(sum.data as Float32Array);
        values.keep(y, result);
        return { row, column, sum: data };
      });
      products.addGram(values.operand(step.x), tiles);
      return;
    }
    case "rmsNorm": {
      const [rows, columns] = values.shape(step.x);
      const weight = arena.allocate(4 * step.size);
      const x = values.address(step.x);
      const { floats, half } = values.make(step.y, rows, columns);
      const numbers = arena.floats(weight, step.size);
      numbers.set(values.given(step.weight).data as Float32Array);
      if (step.offset !== 0) for (let i = 0; i < numbers.length; i++) numbers[i]! += step.offset;
      kernel.rmsNorm(x, weight, floats, half, step.size, step.epsilon, (rows * columns) / step.size);
      arena.free(weight);
      return;
    }
    case "add":
    case "multiply": {
      const [rows, columns] = values.shape(step.a);
      const [a, b] = [values.address(step.a), values.address(step.b)];
      const { floats, half } = values.make(step.y, rows, columns);
      kernel[step.kind](a, b, floats, half, rows * columns);
      return;
    }
    case "rope": {
      const [rows, columns] = values.shape(step.x);
      const x = values.address(step.x);
      const floats = values.makeFloats(step.y, rows, columns);
      const [cos, sin] = [step.cos, step.sin].map((name) => arena.table(values.given(name).data as Float32Array));
      kernel.rope(x, cos!, sin!, floats, step.heads, step.headSize, step.pairs, rows);
      return;
    }
    case "attention":
      attend(step, values, products, arena);
      return;
    case "squares": {
      const [rows, columns] = values.shape(step.x);
      const { at, isHalf } = values.operandAddress(step.x);
      const sums = arena.allocate(8 * columns);
      const room = arena.allocate(4 * columns);
      kernel.squares(at, isHalf, sums, room, rows, columns);
      values.keep(step.y, new Tensor("float64", arena.doubles(sums, columns).slice(), [columns]));
      arena.free(room);
      arena.free(sums);
      return;
    }
  }
}

/**
 * Causal attention, by chunks of queries as attention.ts of onnxruntime's graphs has it. Its two products round their factors to
 * the precision, as linears do: queries, keys, what softmax makes of the scores, and values; scores and softmax are float32.
 */
function attend(step: Whole & { kind: "attention" }, values: Values, products: Products, arena: Arena): void {
  const { kernel } = arena;
  const { windows, tokens } = values;
  const { heads, keyValueHeads, headSize: size } = step;
  const group = heads / keyValueHeads;
  const isHalf = products.precision === "bfloat16";
  const chunks = step.chunks.map(({ begin: from, end: to, first: firstKey, mask: name }) => {
    const [begin, end, first] = [values.integer(from), values.integer(to), values.integer(firstKey)];
    return { begin, first, queries: end - begin, keys: end - first, mask: values.given(name).data as Float32Array };
  });
  const [q, k] = [values.address(step.q), values.address(step.k)];
  const v = values.operandAddress(step.v).at;
  const out = values.makeOne(step.y, windows * tokens, heads * size);
  // One for all chunks, so that it stays in the processor's caches.
  const matrix = Math.max(...chunks.map(({ queries, keys }) => queries * keys));
  const scores = arena.allocate(4 * windows * heads * matrix);
  const shares = isHalf ? arena.allocate(2 * windows * heads * matrix) : scores;
  const packed = arena.allocate(4 * windows * heads * size * Math.max(...chunks.map(({ queries }) => queries)));
  const operand = (at: number, from: number) => arena.numbers({ at, isHalf }, from, 1);

  for (const { begin, first, queries, keys, mask } of chunks) {
    const rows = windows * heads * queries;
    kernel.pack(q, isHalf ? 0 : packed, isHalf ? packed : 0, step.scale, windows, tokens, begin, queries, heads, size);
    // The heads of a group read the same keys and values; these lie side by side in the rows.
    const ofQueries = (columns: number) => [keyValueHeads, group, queries, columns];
    const ofGroups = (columns: number) => [keyValueHeads, group * queries, columns];
    const keyStrides = [size, 1, keyValueHeads * size];
    const valueStrides = [size, size, keyValueHeads * size, 1];
    for (let w = 0; w < windows; w++) {
      const from = (w * tokens + first) * keyValueHeads * size;
      products.multiply(
        { data: operand(packed, w * heads * queries * size), sizes: ofGroups(size) },
        {
          data: arena.floats(k + 4 * from, 1),
          sizes: [keyValueHeads, size, keys],
          strides: keyStrides,
          isPacked: true,
        },
        { data: arena.floats(scores + 4 * w * heads * queries * keys, 1), sizes: ofGroups(keys) },
      );
    }
    kernel.mask(scores, arena.table(mask), arena.table(firstHidden(mask, keys)), queries, keys, rows);
    const ofScores = arena.floats(scores, rows * keys);
    products.softmax!(ofScores, isHalf ? arena.halves(shares, rows * keys) : ofScores, keys);
    for (let w = 0; w < windows; w++) {
      const from = (w * tokens + first) * keyValueHeads * size;
      products.multiply(
        { data: operand(shares, w * heads * queries * keys), sizes: ofQueries(keys) },
        { data: operand(v, from), sizes: [keyValueHeads, 1, keys, size], strides: valueStrides },
        {
          data: arena.numbers(out, (w * tokens + begin) * heads * size, 1),
          sizes: ofQueries(size),
          strides: [group * size, size, heads * size, 1],
        },
      );
    }
  }
  for (const address of [packed, scores, ...(isHalf ? [shares] : [])]) arena.free(address);
}
