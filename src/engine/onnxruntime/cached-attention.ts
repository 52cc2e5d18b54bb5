import { Tensor } from "onnxruntime-node";
import { type Place, paddedHead } from "../cache.js";
import type { Rows } from "../engine.js";
import type { AttentionShape } from "../operations.js";
import { lostByDistance } from "./attention.js";
import type { Nodes } from "./nodes.js";
import { CONTRIBUTED, type Value } from "./onnx.js";

/**
 * Attention over a cache by onnxruntime's GroupQueryAttention: it writes the new keys and values into the cache's own
 * memory, which is input and output at once, and lets every sequence have another length.
 */

/** Tokens of each sequence after the run, less 1, as the operation wants them; and the most of them. */
const LAST_TOKENS = "last.tokens";
const MOST_TOKENS = "most.tokens";
/** How far each new token is from each of its sequence, [sequences, 1, tokens, most tokens]; for ALiBi. */
const DISTANCES = "cached.distances";

function cacheNames(attention: number) {
  return {
    inputs: [`cached.keys.${attention}`, `cached.values.${attention}`] as const,
    outputs: [`extended.keys.${attention}`, `extended.values.${attention}`] as const,
  };
}

/** Adds attention number so many to a graph: q, k and v of the new tokens, [rows, heads · headSize], and so is the result. */
export function attendCached(
  g: Nodes,
  q: string,
  k: string,
  v: string,
  shape: AttentionShape,
  attention: number,
): string {
  const { heads, keyValueHeads, headSize, scale, window, softCap, slopes } = shape;
  const { node, nodes, integers } = g;
  const size = paddedHead(shape);
  const padded = (edge: string, count: number): string => {
    if (size === headSize) return g.windows(edge, count * size);
    const apart = node("Reshape", [edge, integers(-1, count, headSize)]);
    return g.windows(node("Pad", [apart, integers(0, 0, 0, 0, 0, size - headSize)]), count * size);
  };
  const { inputs, outputs } = cacheNames(attention);
  const attended = `edge.${nodes.length}.attended`;
  const bias = slopes && node("Neg", [lostByDistance(g, DISTANCES, slopes)]);
  nodes.push({
    op: "GroupQueryAttention",
    domain: CONTRIBUTED,
    inputs: [
      ...[padded(q, heads), padded(k, keyValueHeads), padded(v, keyValueHeads)],
      ...[...inputs, LAST_TOKENS, MOST_TOKENS],
      ...(bias ? ["", "", "", bias] : []), // after the rotation's tables and positions
    ],
    outputs: [attended, ...outputs],
    attributes: {
      num_heads: heads,
      kv_num_heads: keyValueHeads,
      scale: { float: scale },
      local_window_size: window ?? -1,
      ...(softCap && { softcap: { float: softCap } }),
    },
  });
  if (size === headSize) return g.rows(attended, heads * size);
  const apart = node("Reshape", [attended, integers(-1, heads, size)]);
  return g.rows(node("Slice", [apart, integers(0), integers(headSize), integers(2)]), heads * headSize);
}

/** The graph's inputs and outputs for a program's attentions. */
export function cacheValues(attentions: readonly AttentionShape[]): { inputs: Value[]; outputs: Value[] } {
  const value = (name: string, shape: AttentionShape): Value => ({
    name,
    type: "float",
    shape: ["sequences", shape.keyValueHeads, "capacity", paddedHead(shape)],
  });
  const values = (kind: "inputs" | "outputs") =>
    attentions.flatMap((shape, i) => cacheNames(i)[kind].map((name) => value(name, shape)));
  const lengths: Value[] = [
    { name: LAST_TOKENS, type: "int32", shape: ["sequences"] },
    { name: MOST_TOKENS, type: "int32", shape: [1] },
    { name: DISTANCES, type: "float", shape: ["sequences", 1, "tokens", "most"] },
  ];
  return { inputs: attentions.length > 0 ? [...values("inputs"), ...lengths] : [], outputs: values("outputs") };
}

/** The part of the cache that a place names, as feeds and as the memory of the outputs. */
export function cacheTensors(
  { cache, first, lengths }: Place,
  { windows, tokens }: Rows,
  attentions: readonly AttentionShape[],
) {
  const feeds: Record<string, Tensor> = {};
  const outputs: Record<string, Tensor> = {};
  for (const [i, { keys, values, keyValueHeads, size }] of cache.attentions.entries()) {
    const names = cacheNames(i);
    const sequence = keyValueHeads * cache.capacity * size;
    for (const [which, rows] of [keys, values].entries()) {
      const part = (rows as Float32Array).subarray(first * sequence, (first + windows) * sequence);
      const tensor = new Tensor("float32", part, [windows, keyValueHeads, cache.capacity, size]);
      feeds[names.inputs[which]!] = tensor;
      outputs[names.outputs[which]!] = tensor;
    }
  }
  const totals = lengths.map((length) => length + tokens);
  feeds[LAST_TOKENS] = new Tensor(
    "int32",
    Int32Array.from(totals, (total) => total - 1),
    [windows],
  );
  const most = Math.max(...totals);
  feeds[MOST_TOKENS] = new Tensor("int32", Int32Array.of(most), [1]);
  if (attentions.some(({ slopes }) => slopes)) {
    const distances = new Float32Array(windows * tokens * most);
    for (let i = 0; i < distances.length; i++) {
      const row = Math.floor(i / most);
      distances[i] = lengths[Math.floor(row / tokens)]! + (row % tokens) - (i % most);
    }
    feeds[DISTANCES] = new Tensor("float32", distances, [windows, 1, tokens, most]);
  }
  return { feeds, outputs };
}
