import type { Whole } from "../onnxruntime/whole.js";
import type { Arena } from "./arena.js";
import type { Products } from "./products.js";
import { firstHidden, type Values } from "./values.js";

/** Scores that are computed at once, in bytes, if not those of one group of heads: more do not stay in the processor's caches. */
const SCORE_BYTES = 2 ** 23;

/**
 * Causal attention, by chunks of queries as attention.ts of onnxruntime's graphs has it. Its two products round their factors to
 * the precision, as linears do: queries, keys, what softmax makes of the scores, and values; scores and softmax are float32.
 */
export function attend(step: Whole & { kind: "attention" }, values: Values, products: Products, arena: Arena): void {
  const { kernel } = arena;
  const { windows, tokens } = values;
  const { heads, keyValueHeads, headSize: size } = step;
  const group = heads / keyValueHeads;
  const { operands } = products;
  const isHalf = operands === "bfloat16";
  const chunks = step.chunks.map(({ begin: from, end: to, first: firstKey, mask: name }) => {
    const [begin, end, first] = [values.integer(from), values.integer(to), values.integer(firstKey)];
    const [queries, keys] = [end - begin, end - first];
    // Of a key's head, with the queries of all heads that read it.
    const matrix = group * queries * keys;
    const atOnce = Math.min(windows * keyValueHeads, Math.max(1, Math.floor(SCORE_BYTES / (4 * matrix))));
    return { begin, first, queries, keys, matrix, atOnce, mask: values.given(name).data as Float32Array };
  });
  const q = values.address(step.q);
  const [k, v] = [values.operandAddress(step.k), values.operandAddress(step.v)];
  const out = values.makeOne(step.y, windows * tokens, heads * size);
  // One for all chunks, so that it stays in the processor's caches.
  const most = Math.max(...chunks.map(({ matrix, atOnce }) => matrix * atOnce));
  const scores = arena.allocate(4 * most);
  const shares = isHalf ? arena.allocate(2 * most) : scores;
  const packed = arena.allocate(4 * windows * heads * size * Math.max(...chunks.map(({ queries }) => queries)));
  const operand = (at: number, from: number) => arena.numbers({ at, isHalf }, from, 1);

  for (const { begin, first, queries, keys, matrix, atOnce, mask } of chunks) {
    const [floats, rounded] = operands === "float32" ? [packed, 0] : [0, packed];
    kernel.pack(q, floats, rounded, step.scale, windows, tokens, begin, queries, heads, size);
    for (const parts of groupsOf(windows, keyValueHeads, atOnce)) {
      // The heads of a group read the same keys and values; these lie side by side in the rows.
      for (const { window, head, count, at } of parts) {
        products.multiply(
          {
            data: operand(packed, (window * heads + head * group) * queries * size),
            sizes: [count, group * queries, size],
          },
          {
            data: arena.numbers(k, ((window * tokens + first) * keyValueHeads + head) * size, 1),
            sizes: [count, size, keys],
            strides: [size, 1, keyValueHeads * size],
            isPacked: true,
          },
          { data: arena.floats(scores + 4 * at * matrix, 1), sizes: [count, group * queries, keys] },
        );
      }
      const rows = parts.reduce((sum, { count }) => sum + count * group * queries, 0);
      kernel.mask(scores, arena.table(mask), arena.table(firstHidden(mask, keys)), queries, keys, rows);
      const ofScores = arena.floats(scores, rows * keys);
      products.softmax!(ofScores, isHalf ? arena.halves(shares, rows * keys) : ofScores, keys);
      if (operands === "rounded") kernel.round(shares, shares, rows * keys);
      for (const { window, head, count, at } of parts) {
        products.multiply(
          { data: operand(shares, at * matrix), sizes: [count, group, queries, keys] },
          {
            data: arena.numbers(v, ((window * tokens + first) * keyValueHeads + head) * size, 1),
            sizes: [count, 1, keys, size],
            strides: [size, size, keyValueHeads * size, 1],
          },
          {
            data: arena.numbers(out, ((window * tokens + begin) * heads + head * group) * size, 1),
            sizes: [count, group, queries, size],
            strides: [group * size, size, heads * size, 1],
          },
        );
      }
    }
  }
  values.roundMade(step.y);
  for (const address of [packed, scores, ...(isHalf ? [shares] : [])]) arena.free(address);
}

/** Heads of one window, and how many others are before them in their group. */
interface Heads {
  readonly window: number;
  readonly head: number;
  readonly count: number;
  readonly at: number;
}

/** The heads of all windows in groups of so many. */
function groupsOf(windows: number, heads: number, atOnce: number): Heads[][] {
  const groups: Heads[][] = [];
  for (let first = 0; first < windows * heads; first += atOnce) {
    const end = Math.min(first + atOnce, windows * heads);
    const parts: Heads[] = [];
    for (let next = first; next < end; ) {
      const window = Math.floor(next / heads);
      const count = Math.min(end, (window + 1) * heads) - next;
      parts.push({ window, head: next % heads, count, at: next - first });
      next += count;
    }
    groups.push(parts);
  }
  return groups;
}
