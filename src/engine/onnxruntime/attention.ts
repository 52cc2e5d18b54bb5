import type { Seen } from "../engine.js";
import type { AttentionShape } from "../operations.js";
import type { Nodes } from "./nodes.js";
import type { Value } from "./onnx.js";
import { Tensor } from "./ort.js";

/**
 * Causal attention by chunks of queries. A chunk sees the keys up to its own end, and under a sliding window from its
 * first query's window on: the products over keys that no query of the chunk may see are never computed, and the scores
 * [heads, queries, keys] of one chunk are all that is held at a time.
 */

/** What the tables of an attention depend on. */
export interface AttentionKind {
  /** The sliding window's size in tokens, or undefined where every earlier token is seen. */
  readonly window: number | undefined;
  /** Whether it needs the distances of queries from keys. */
  readonly distances: boolean;
}

/** Queries a chunk: fewer would make the matrix products inefficient. */
const CHUNK_TOKENS = 128;

/** How many chunks windows of so many tokens are cut into. */
export function chunksOf(tokens: number): number {
  return Math.max(1, Math.ceil(tokens / CHUNK_TOKENS));
}

/** Names of a chunk's graph inputs: its queries are tokens [begin, end), its keys [first, end); the rest [queries, keys]. */
function attentionNames(window: AttentionKind["window"], chunk: number) {
  const kind = `${window ?? "all"}.${chunk}`;
  return {
    begin: `begin.${chunk}`,
    end: `begin.${chunk + 1}`,
    first: `first.${kind}`,
    mask: `mask.${kind}`,
    distances: `distances.${kind}`,
  };
}

/** The graph inputs that attention of one kind needs, `begin.*` of all kinds in common. */
export function attentionInputs({ window, distances }: AttentionKind, chunks: number): Value[] {
  const inputs: Value[] = [];
  for (let chunk = 0; chunk < chunks; chunk++) {
    const names = attentionNames(window, chunk);
    for (const name of [names.begin, names.end, names.first]) inputs.push({ name, type: "int64", shape: [1] });
    for (const name of distances ? [names.mask, names.distances] : [names.mask]) {
      inputs.push({ name, type: "float", shape: [`queries.${chunk}`, `keys.${names.mask}`] });
    }
  }
  return inputs;
}

/** Adds causal attention of whole windows to a graph: q, k and v are [rows, heads · headSize], and so is the result. */
export function attendWindows(
  g: Nodes,
  q: string,
  k: string,
  v: string,
  shape: AttentionShape,
  chunks: number,
): string {
  const { heads, keyValueHeads, headSize, scale, window, softCap, slopes } = shape;
  if (softCap || slopes) return attendBy(g, q, k, v, shape, chunks);
  const names = Array.from({ length: chunks }, (_, chunk) => attentionNames(window, chunk));
  return g.whole({ kind: "attention", q, k, v, heads, keyValueHeads, headSize, scale, chunks: names }, () =>
    attendBy(g, q, k, v, shape, chunks),
  );
}

function attendBy(
  g: Nodes,
  q: string,
  k: string,
  v: string,
  { heads, keyValueHeads, headSize, scale, window, softCap, slopes }: AttentionShape,
  chunks: number,
): string {
  const between = (edge: string, from: string, to: string) => g.node("Slice", [edge, from, to, g.integers(1)]);
  const query = g.windows(q, heads * headSize);
  const [key, value] = [k, v].map((edge) => g.windows(edge, keyValueHeads * headSize)) as [string, string];
  const mixed = Array.from({ length: chunks }, (_, chunk) => {
    const { first, begin, end, mask, distances } = attentionNames(window, chunk);
    const from = [between(query, begin, end), between(key, first, end), between(value, first, end)];
    const bias = slopes ? g.node("Sub", [mask, lostByDistance(g, distances, slopes)]) : mask;
    return g.node("Attention", [...from, bias], {
      q_num_heads: heads,
      kv_num_heads: keyValueHeads,
      scale: { float: scale },
      ...(softCap && { softcap: { float: softCap } }),
    });
  });
  return g.rows(chunks > 1 ? g.node("Concat", mixed, { axis: 1 }) : mixed[0]!, heads * headSize);
}

/** What ALiBi takes off the scores: [sequences or 1, heads, queries, keys]. */
export function lostByDistance(g: Nodes, distances: string, slopes: readonly number[]): string {
  return g.node("Mul", [distances, g.floats(slopes, 1, slopes.length, 1, 1)]);
}

/**
 * The feeds of `attentionInputs` for windows of so many tokens: masks are 0 where a query may look and -∞ elsewhere. A
 * window made of segments tells what each token sees.
 */
export function attentionTables(kind: AttentionKind, tokens: number, seen?: readonly Seen[]): Record<string, Tensor> {
  const { window } = kind;
  const position = (row: number) => seen?.[row]?.position ?? row;
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
    if (kind.distances) {
      const distances = Float32Array.from(
        mask,
        (_, i) => position(begin + Math.floor(i / keys)) - position(first + (i % keys)),
      );
      tables[names.distances] = new Tensor("float32", distances, [end - begin, keys]);
    }
  }
  return tables;
}

/** The last so many rows of ranges. */
function lastOf(ranges: Seen["ranges"], window: AttentionKind["window"]): Seen["ranges"] {
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
