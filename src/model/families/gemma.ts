import { z } from "zod";
import type { Builder } from "../../engine/operations.js";
import { count, readConfig } from "../config.js";
import type { Family, Opening } from "../family.js";
import { attentionShape, decoder, gatedFeedForward, selfAttention } from "../parts.js";
import { readRope } from "../rope.js";
import { type LlamaBlock, llamaSizes } from "./llama.js";

export const gemmaSizes = {
  ...llamaSizes,
  head_dim: count.default(256),
  tie_word_embeddings: z.boolean().default(true),
  attention_bias: z.boolean().default(false),
  use_bidirectional_attention: z.literal([false, null], "only causal attention is supported").optional(),
};

const gemmaConfig = z.object({
  ...gemmaSizes,
  num_key_value_heads: count.nullable().default(16),
  // Gemma's first configs say gelu and mean its approximation, as transformers does for all of them.
  hidden_act: z.enum(["gelu", "gelu_pytorch_tanh"]).default("gelu_pytorch_tanh"),
});

/** Gemma (Gemma Team 2024, arXiv 2403.08295): norms stored less 1, scaled embeddings, wide heads. */
export const gemma: Family = {
  name: "gemma",
  modelTypes: ["gemma"],
  models: "Gemma 1, CodeGemma",
  architecture(config, where) {
    const c = readConfig(gemmaConfig, config, where);
    const shape = attentionShape(c, where);
    const { rotation, maxTokens } = readRope(c, shape.headSize, where);
    const bias = { qkv: c.attention_bias, out: c.attention_bias };
    const kind: LlamaBlock = {
      attention: { hidden: c.hidden_size, shape, rotation, bias },
      feedForward: { hidden: c.hidden_size, intermediate: c.intermediate_size, bias: false },
      epsilon: c.rms_norm_eps,
    };
    return decoder<LlamaBlock>({
      family: "gemma",
      config: c,
      maxTokens,
      kindOf: () => kind,
      block: gemmaBlock,
      headKey: c.rms_norm_eps,
      finalNorm: (g, x, norm) => g.rmsNorm(x, { ...norm, offset: 1 }, c.rms_norm_eps),
      opening: scaledEmbeddings(Math.sqrt(c.hidden_size)),
    });
  },
};

/** Embeddings times a number. */
export function scaledEmbeddings(factor: number): Opening {
  return { key: `scale ${factor}`, build: (g, x) => g.scale(x, factor) };
}

function gemmaBlock<V>(g: Builder<V>, x: V, { attention, feedForward, epsilon }: LlamaBlock): V {
  const norm = (from: V, name: string) => g.rmsNorm(from, { name, size: attention.hidden, offset: 1 }, epsilon);
  const y = g.add(x, selfAttention(g, norm(x, "input_layernorm"), attention));
  return g.add(y, gatedFeedForward(g, norm(y, "post_attention_layernorm"), feedForward, g.geluTanh));
}
