import type { Place } from "../cache.js";
import type { Rows } from "../engine.js";
import type { AttentionShape } from "../operations.js";
import { lostByDistance } from "./attention.js";
import type { Nodes } from "./nodes.js";
import { Tensor } from "./ort.js";

/**
 * Attention over a cache, in two graphs: one ends in the new tokens' queries, keys and values, the other begins with
 * attention. Between them the keys and values are put into the cache, which the second reads where it lies: were the cache
 * an output of one graph, onnxruntime-node would copy all of it in every run.
 */

/** Outputs of the first graph, [rows, heads · headSize]; queries are an input of the second. */
export const PROJECTED = ["new.queries", "new.keys", "new.values"] as const;

const QUERIES = "queries"; // [windows, tokens, heads, headSize]
const KEYS = "cached.keys"; // [windows, keyValueHeads, capacity, headSize]
const VALUES = "cached.values";
/** 0 where a new token may look and -∞ elsewhere, [windows, 1, tokens, capacity]. */
const MASK = "cached.mask";
/** How far each new token is from each of the cache, shaped as the mask; for ALiBi. */
const DISTANCES = "cached.distances";

/** Adds attention of the new tokens to a graph; the result is [rows, heads · headSize]. */
export function attendCached(g: Nodes, shape: AttentionShape): string {
  const { heads, keyValueHeads, headSize, scale, softCap, slopes } = shape;
  const cached = ["windows", keyValueHeads, "capacity", headSize];
  const table = (name: string, dimensions: readonly (number | string)[]) =>
    g.table({ name, type: "float", shape: dimensions });
  const byHead = (edge: string) => g.node("Transpose", [edge], { perm: [0, 2, 1, 3] });
  const mask = table(MASK, ["windows", 1, "tokens", "capacity"]);
  const bias = slopes
    ? g.node("Sub", [mask, lostByDistance(g, table(DISTANCES, ["windows", 1, "tokens", "capacity"]), slopes)])
    : mask;
  const queries = byHead(table(QUERIES, ["windows", "tokens", heads, headSize]));
  const attended = g.node("Attention", [queries, table(KEYS, cached), table(VALUES, cached), bias], {
    scale: { float: scale },
    ...(softCap && { softcap: { float: softCap } }),
  });
  return g.rows(byHead(attended), heads * headSize);
}

/** Puts the new keys and values, [rows, keyValueHeads · headSize], where the place says. */
export function appendToCache(
  { cache, first, lengths }: Place,
  { windows, tokens }: Rows,
  keys: Float32Array,
  values: Float32Array,
): void {
  const { keyValueHeads, size } = cache;
  for (const [from, to] of [
    [keys, cache.keys],
    [values, cache.values],
  ] as const) {
    let at = 0;
    for (let window = 0; window < windows; window++) {
      for (let t = 0; t < tokens; t++) {
        for (let head = 0; head < keyValueHeads; head++, at += size) {
          const row = ((first + window) * keyValueHeads + head) * cache.capacity + lengths[window]! + t;
          to.set(from.subarray(at, at + size), row * size);
        }
      }
    }
  }
}

/** The feeds of the second graph that change from layer to layer. */
export function cacheFeeds(
  { cache, first }: Place,
  { windows, tokens }: Rows,
  queries: Float32Array,
  { heads, headSize }: AttentionShape,
): Record<string, Tensor> {
  const { keys, values, keyValueHeads, capacity, size } = cache;
  const sequence = keyValueHeads * capacity * size;
  const part = (rows: typeof keys) => {
    const own = (rows as Float32Array).subarray(first * sequence, (first + windows) * sequence);
    return new Tensor("float32", own, [windows, keyValueHeads, capacity, size]);
  };
  return {
    [QUERIES]: new Tensor("float32", queries, [windows, tokens, heads, headSize]),
    [KEYS]: part(keys),
    [VALUES]: part(values),
  };
}

/** The feeds of the second graph that depend on how long the sequences are. */
export function cacheTables(
  { cache: { capacity }, lengths }: Place,
  { windows, tokens }: Rows,
  { window, slopes }: AttentionShape,
): Record<string, Tensor> {
  const mask = new Float32Array(windows * tokens * capacity).fill(Number.NEGATIVE_INFINITY);
  for (let row = 0; row < windows * tokens; row++) {
    const end = lengths[Math.floor(row / tokens)]! + (row % tokens) + 1;
    const begin = window === undefined ? 0 : Math.max(0, end - window);
    mask.fill(0, row * capacity + begin, row * capacity + end);
  }
  const shape = [windows, 1, tokens, capacity];
  const tables: Record<string, Tensor> = { [MASK]: new Tensor("float32", mask, shape) };
  if (slopes) {
    const distances = mask.map((_, i) => {
      const row = Math.floor(i / capacity);
      return lengths[Math.floor(row / tokens)]! + (row % tokens) - (i % capacity);
    });
    tables[DISTANCES] = new Tensor("float32", distances, shape);
  }
  return tables;
}
