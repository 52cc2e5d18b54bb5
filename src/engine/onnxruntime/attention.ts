import { Tensor } from "onnxruntime-node";
import type { Seen } from "../engine.js";
import type { Value } from "./onnx.js";

/**
 * Causal attention by chunks of queries. A chunk sees the keys up to its own end, and under a sliding window from its
 * first query's window on: the products over keys that no query of the chunk may see are never computed, and the scores
 * [heads, queries, keys] of one chunk are all that is held at a time.
 */

/** The window's size in tokens, or undefined where every earlier token is seen. */
export type SlidingWindow = number | undefined;

/** Queries a chunk: fewer would make the matrix products inefficient. */
const CHUNK_TOKENS = 256;

/** How many chunks windows of so many tokens are cut into. */
export function chunksOf(tokens: number): number {
  return Math.max(1, Math.ceil(tokens / CHUNK_TOKENS));
}

/** Names of a chunk's graph inputs: its queries are tokens [begin, end), its keys [first, end); mask [queries, keys]. */
export function attentionNames(window: SlidingWindow, chunk: number) {
  return {
    begin: `begin.${chunk}`,
    end: `begin.${chunk + 1}`,
    first: `first.${window ?? "all"}.${chunk}`,
    mask: `mask.${window ?? "all"}.${chunk}`,
  };
}

/** The graph inputs that attention of one kind needs, `begin.*` of all kinds in common. */
export function attentionInputs(window: SlidingWindow, chunks: number): Value[] {
  const inputs: Value[] = [];
  for (let chunk = 0; chunk < chunks; chunk++) {
    const { begin, end, first, mask } = attentionNames(window, chunk);
    for (const name of [begin, end, first]) inputs.push({ name, type: "int64", shape: [1] });
    inputs.push({ name: mask, type: "float", shape: [`queries.${chunk}`, `keys.${mask}`] });
  }
  return inputs;
}

/**
 * The feeds of `attentionInputs` for windows of so many tokens: masks are 0 where a query may look and -∞ elsewhere. A
 * window made of segments tells what each token sees.
 */
export function attentionTables(window: SlidingWindow, tokens: number, seen?: readonly Seen[]): Record<string, Tensor> {
  const chunks = chunksOf(tokens);
  const begins = Array.from({ length: chunks + 1 }, (_, chunk) => Math.min(tokens, chunk * CHUNK_TOKENS));
  const tables: Record<string, Tensor> = {};
  for (let chunk = 0; chunk < chunks; chunk++) {
    const names = attentionNames(window, chunk);
    const begin = begins[chunk]!;
    const end = begins[chunk + 1]!;
    const queries = Array.from({ length: end - begin }, (_, i) =>
      lastOf(seen?.[begin + i]?.ranges ?? [[0, begin + i + 1]], window),
    );
    const first = Math.min(...queries.map(([range]) => range![0]));
    const keys = end - first;
    const mask = new Float32Array(queries.length * keys).fill(Number.NEGATIVE_INFINITY);
    for (const [i, ranges] of queries.entries()) {
      for (const [from, to] of ranges) mask.fill(0, i * keys + from - first, i * keys + to - first);
    }
    tables[names.begin] = integer(begin);
    tables[names.end] = integer(end);
    tables[names.first] = integer(first);
    tables[names.mask] = new Tensor("float32", mask, [end - begin, keys]);
  }
  return tables;
}

/** The last so many rows of ranges. */
function lastOf(ranges: Seen["ranges"], window: SlidingWindow): Seen["ranges"] {
  let left = window ?? Number.POSITIVE_INFINITY;
  const kept: (readonly [number, number])[] = [];
  for (const [from, to] of ranges.toReversed()) {
    if (left <= 0) break;
    kept.unshift([Math.max(from, to - left), to]);
    left -= to - from;
  }
  return kept;
}

function integer(value: number): Tensor {
  return new Tensor("int64", BigInt64Array.of(BigInt(value)), [1]);
}
