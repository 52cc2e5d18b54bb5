import { z } from "zod";
import { count, layerTypes, readConfig } from "../config.js";
import type { Family } from "../family.js";
import { llamaArchitecture, llamaSizes } from "./llama.js";

/** What Qwen's configs say about sliding windows. */
export const qwenWindows = {
  use_sliding_window: z.boolean().default(false),
  sliding_window: count.nullable().default(4096),
  max_window_layers: z.number().int().nonnegative().default(28),
  layer_types: layerTypes,
};

/** The window of a layer: the later layers have one, where it is used at all. */
export function qwenWindow(c: z.infer<z.ZodObject<typeof qwenWindows>>, layer: number): number | undefined {
  const sliding = c.layer_types ? c.layer_types[layer] === "sliding_attention" : layer >= c.max_window_layers;
  return c.use_sliding_window && sliding ? (c.sliding_window ?? undefined) : undefined;
}

const qwen2Config = z.object({ ...llamaSizes, num_key_value_heads: count.nullable().default(32), ...qwenWindows });

/** Qwen 1.5, 2 and 2.5 (Yang et al. 2024, arXiv 2407.10671): LLaMA's block with biases on q, k and v. */
export const qwen2: Family = {
  name: "qwen2",
  modelTypes: ["qwen2"],
  models: "Qwen 1.5, 2 and 2.5, DeepSeek-R1-Distill-Qwen",
  architecture(config, where) {
    const c = readConfig(qwen2Config, config, where);
    const bias = { qkv: true, out: false, feedForward: false };
    return llamaArchitecture("qwen2", c, { bias, windowOf: (layer) => qwenWindow(c, layer) }, where);
  },
};
