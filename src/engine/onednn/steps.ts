import { Tensor } from "onnxruntime-node";
import type { Whole } from "../onnxruntime/whole.js";
import type { Arena } from "./arena.js";
import type { Matrices, Products } from "./products.js";
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
      const after = typeof step.after === "object" ? { times: values.floats(step.after.times) } : step.after;
      products.linear(values.operand(step.x), weight.data as Float32Array, bias, y, after);
      return;
    }
    case "gram": {
      const x = values.operand(step.x);
      for (const { row, column, before, y } of step.tiles) {
        const sum = values.given(before);
        const result = values.fetched(y) ?? new Tensor("float32", new Float32Array(sum.size), sum.dims);
        const data = result.data as Float32Array;
        if (data !== sum.data) data.set(sum.data as Float32Array);
        products.addGram(x, row, column, data);
        values.keep(y, result);
      }
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
      const { floats } = values.make(step.y, rows, columns);
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
 * Causal attention in float32, by chunks of queries as attention.ts of onnxruntime's graphs has it. Heads are matrices that lie
 * side by side in the rows; of the query heads that share a key head, the first ones make a product, then the second ones.
 */
function attend(step: Whole & { kind: "attention" }, values: Values, products: Products, arena: Arena): void {
  const { kernel } = arena;
  const { windows, tokens } = values;
  const { heads, keyValueHeads, headSize: size } = step;
  const group = heads / keyValueHeads;
  const rows = windows * tokens;
  const [q, k, v] = [values.address(step.q), values.address(step.k), values.address(step.v)];
  const scaled = arena.allocate(4 * rows * heads * size);
  kernel.scale(q, scaled, step.scale, rows * heads * size);
  const out = values.makeFloats(step.y, rows, heads * size);
  /** In every window the key-value heads' matrices of tokens [from, from + length), or as many query heads'. */
  const matrices = (at: number, columns: number, apart: number, from: number, length: number): Matrices => ({
    data: arena.floats(at + 4 * from * columns, 1),
    sizes: [windows, keyValueHeads, length, size],
    strides: [tokens * columns, apart, columns, 1],
  });
  const chunks = step.chunks.map(({ begin: from, end: to, first: firstKey, mask: name }) => {
    const [begin, end, first] = [values.integer(from), values.integer(to), values.integer(firstKey)];
    return { begin, first, queries: end - begin, keys: end - first, mask: values.given(name).data as Float32Array };
  });
  // The same for all, so that it stays in the processor's caches.
  const largest = Math.max(...chunks.map(({ queries, keys }) => queries * keys));
  const scores = arena.allocate(4 * windows * heads * largest);

  for (const { begin, first, queries, keys, mask } of chunks) {
    const matrix = queries * keys;
    // [group, windows, key-value heads, queries, keys]
    const scored = (g: number): Matrices => ({
      data: arena.floats(scores + 4 * g * windows * keyValueHeads * matrix, 1),
      sizes: [windows, keyValueHeads, queries, keys],
      strides: [keyValueHeads * matrix, matrix, keys, 1],
    });
    const ofGroup = (at: number, g: number) => matrices(at + 4 * g * size, heads * size, group * size, begin, queries);
    const ofKeys = (at: number) => matrices(at, keyValueHeads * size, size, first, keys);
    const keyMatrices = transposed(ofKeys(k));
    for (let g = 0; g < group; g++) products.multiply(ofGroup(scaled, g), keyMatrices, scored(g));
    kernel.mask(
      scores,
      arena.table(mask),
      arena.table(firstHidden(mask, keys)),
      queries,
      keys,
      windows * heads * queries,
    );
    products.softmax!(arena.floats(scores, windows * heads * matrix), keys);
    for (let g = 0; g < group; g++) products.multiply(scored(g), ofKeys(v), ofGroup(out, g));
  }
  arena.free(scores);
  arena.free(scaled);
}

function transposed({ data, sizes, strides }: Matrices): Matrices {
  const swap = ([a, b, c, d]: Matrices["sizes"]) => [a, b, d, c] as const;
  return { data, sizes: swap(sizes), strides: swap(strides) };
}
