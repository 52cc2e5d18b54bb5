import { z } from "zod";
import type { Builder } from "../../engine/operations.js";
import { count, readConfig } from "../config.js";
import type { Family } from "../family.js";
import {
  type Attention,
  attentionShape,
  decoder,
  type FeedForward,
  gatedFeedForward,
  SELF_ATTENTION,
  selfAttention,
} from "../parts.js";
import { readRope } from "../rope.js";
import { type LlamaBlock, llamaSizes } from "./llama.js";
import { qwenWindow, qwenWindows } from "./qwen2.js";

export const qwen3Sizes = {
  ...llamaSizes,
  num_key_value_heads: count.nullable().default(32),
  head_dim: count.nullable().default(128),
  attention_bias: z.boolean().default(false),
  ...qwenWindows,
};

/** Qwen 3 (Yang et al. 2025, arXiv 2505.09388): LLaMA's block with norms of the queries' and keys' heads. */
export const qwen3: Family = {
  name: "qwen3",
  modelTypes: ["qwen3"],
  models: "Qwen 3 (dense)",
  architecture(config, where) {
    const c = readConfig(z.object(qwen3Sizes), config, where);
    const { attentionOf, maxTokens } = qwen3Attention(c, where);
    const feedForward: FeedForward = { hidden: c.hidden_size, intermediate: c.intermediate_size, bias: false };
    return decoder<LlamaBlock>({
      family: "qwen3",
      config: c,
      maxTokens,
      kindOf: (layer) => ({ attention: attentionOf(layer), feedForward, epsilon: c.rms_norm_eps }),
      block: qwen3Block,
      headKey: c.rms_norm_eps,
      finalNorm: (g, x, norm) => g.rmsNorm(x, norm, c.rms_norm_eps),
    });
  },
};

export function qwen3Attention(c: z.infer<z.ZodObject<typeof qwen3Sizes>>, where: string) {
  const shape = attentionShape(c, where);
  const { rotation, maxTokens } = readRope(c, shape.headSize, where);
  const bias = { qkv: c.attention_bias, out: c.attention_bias };
  const attentionOf = (layer: number): Attention => {
    const window = qwenWindow(c, layer);
    return { hidden: c.hidden_size, shape: window === undefined ? shape : { ...shape, window }, rotation, bias };
  };
  return { attentionOf, maxTokens };
}

/** x and what its attention adds to it. */
export function qwen3Attended<V>(g: Builder<V>, x: V, attention: Attention, epsilon: number): V {
  const h = g.rmsNorm(x, { name: "input_layernorm", size: attention.hidden }, epsilon);
  const normed = (from: V, which: "q" | "k", heads: number) =>
    g.rmsNorm(from, { name: `self_attn.${which}_norm`, size: attention.shape.headSize, heads }, epsilon);
  return g.add(x, selfAttention(g, h, attention, SELF_ATTENTION, normed));
}

function qwen3Block<V>(g: Builder<V>, x: V, { attention, feedForward, epsilon }: LlamaBlock): V {
  const y = qwen3Attended(g, x, attention, epsilon);
  const n = g.rmsNorm(y, { name: "post_attention_layernorm", size: attention.hidden }, epsilon);
  return g.add(y, gatedFeedForward(g, n, feedForward, g.silu));
}
