import { Tensor } from "onnxruntime-node";
import { type Place, paddedHead } from "../cache.js";
import type { Rows } from "../engine.js";
import type { AttentionShape } from "../operations.js";
import type { Value } from "./onnx.js";

/**
 * Attention over a cache by onnxruntime's GroupQueryAttention: it writes the new keys and values into the cache's own
 * memory, which is input and output at once, and lets every sequence have another length.
 */

/** Tokens of each sequence after the run, less 1, as the operation wants them; and the most of them. */
const LAST_TOKENS = "last.tokens";
const MOST_TOKENS = "most.tokens";

function cacheNames(attention: number) {
  return {
    inputs: [`cached.keys.${attention}`, `cached.values.${attention}`] as const,
    outputs: [`extended.keys.${attention}`, `extended.values.${attention}`] as const,
  };
}

/** The operation's inputs beside q, k and v, and its outputs beside the attended values. */
export function cacheEdges(attention: number): { inputs: string[]; outputs: string[] } {
  const { inputs, outputs } = cacheNames(attention);
  return { inputs: [...inputs, LAST_TOKENS, MOST_TOKENS], outputs: [...outputs] };
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
  ];
  return { inputs: attentions.length > 0 ? [...values("inputs"), ...lengths] : [], outputs: values("outputs") };
}

/** The part of the cache that a place names, as feeds and as the memory of the outputs. */
export function cacheTensors({ cache, first, lengths }: Place, { windows, tokens }: Rows) {
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
  feeds[MOST_TOKENS] = new Tensor("int32", Int32Array.of(Math.max(...totals)), [1]);
  return { feeds, outputs };
}
