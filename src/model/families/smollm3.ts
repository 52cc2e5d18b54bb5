import { z } from "zod";
import { count, layerTypes, readConfig } from "../config.js";
import type { Family } from "../family.js";
import { llamaArchitecture, llamaSizes } from "./llama.js";

const smollm3Config = z.object({
  ...llamaSizes,
  num_key_value_heads: count.nullable().default(4),
  tie_word_embeddings: z.boolean().default(true),
  max_position_embeddings: count.default(32_768),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  /** By layer: 1 where it rotates. */
  no_rope_layers: z.array(z.literal([0, 1])).nullish(),
  no_rope_layer_interval: count.default(4),
  use_sliding_window: z.boolean().default(false),
  sliding_window: count.nullish(),
  layer_types: layerTypes,
});

/** SmolLM3 (Hugging Face 2025): LLaMA's block; every fourth layer knows no positions (Yang et al. 2025, arXiv 2501.18795). */
export const smollm3: Family = {
  name: "smollm3",
  modelTypes: ["smollm3"],
  models: "SmolLM3",
  architecture(config, where) {
    const c = readConfig(smollm3Config, config, where);
    const rotates = (layer: number) =>
      c.no_rope_layers ? c.no_rope_layers[layer] === 1 : (layer + 1) % c.no_rope_layer_interval !== 0;
    const windowOf = (layer: number) => {
      const sliding = c.layer_types ? c.layer_types[layer] === "sliding_attention" : !rotates(layer);
      return c.use_sliding_window && sliding ? (c.sliding_window ?? undefined) : undefined;
    };
    const bias = { qkv: c.attention_bias, out: c.attention_bias, feedForward: c.mlp_bias };
    return llamaArchitecture("smollm3", c, { bias, windowOf, rotates, rope: { theta: 2_000_000 } }, where);
  },
};
