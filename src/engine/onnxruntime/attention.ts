import { Tensor } from "onnxruntime-node";
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

/** The feeds of `attentionInputs` for windows of so many tokens: masks are 0 where a query may look and -∞ elsewhere. */
export function attentionTables(window: SlidingWindow, tokens: number): Record<string, Tensor> {
  const chunks = chunksOf(tokens);
  const begins = Array.from({ length: chunks + 1 }, (_, chunk) => Math.min(tokens, chunk * CHUNK_TOKENS));
  const tables: Record<string, Tensor> = {};
  for (let chunk = 0; chunk < chunks; chunk++) {
    const names = attentionNames(window, chunk);
    const begin = begins[chunk]!;
    const end = begins[chunk + 1]!;
    const first = window === undefined ? 0 : Math.max(0, begin - window + 1);
    const keys = end - first;
    const mask = new Float32Array((end - begin) * keys).fill(Number.NEGATIVE_INFINITY);
    for (let query = begin; query < end; query++) {
      const from = window === undefined ? 0 : Math.max(0, query - window + 1);
      const row = (query - begin) * keys;
      mask.fill(0, row + from - first, row + query + 1 - first);
    }
    tables[names.begin] = integer(begin);
    tables[names.end] = integer(end);
    tables[names.first] = integer(first);
    tables[names.mask] = new Tensor("float32", mask, [end - begin, keys]);
  }
  return tables;
}

function integer(value: number): Tensor {
  return new Tensor("int64", BigInt64Array.of(BigInt(value)), [1]);
}
