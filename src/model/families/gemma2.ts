import { z } from "zod";
import type { Builder } from "../../engine/operations.js";
import { count, layerTypes, readConfig } from "../config.js";
import type { Family } from "../family.js";
import { attentionShape, decoder, gatedFeedForward, SELF_ATTENTION, selfAttention } from "../parts.js";
import { readRope } from "../rope.js";
import { gemmaSizes, scaledEmbeddings } from "./gemma.js";
import type { LlamaBlock } from "./llama.js";

const positive = z.number().positive();

const { hidden_act: _, ...sizes } = gemmaSizes; // what counts is hidden_activation

export const gemma2Sizes = {
  ...sizes,
  num_key_value_heads: count.nullable().default(4),
  hidden_activation: z.literal("gelu_pytorch_tanh", "only gelu_pytorch_tanh is supported").nullish(),
  query_pre_attn_scalar: positive.default(256),
  sliding_window: count.nullable().default(4096),
  layer_types: layerTypes,
  attn_logit_softcapping: positive.nullable().default(50),
  final_logit_softcapping: positive.nullable().default(30),
};

/** Gemma 2 (Gemma Team 2024, arXiv 2408.00118): norms after as before, capped scores and logits, every other layer's window slides. */
export const gemma2: Family = {
  name: "gemma2",
  modelTypes: ["gemma2"],
  models: "Gemma 2",
  architecture(config, where) {
    const c = readConfig(z.object(gemma2Sizes), config, where);
    const plain = attentionShape(c, where);
    const { rotation, maxTokens } = readRope(c, plain.headSize, where);
    return gemma2Architecture(
      "gemma2",
      c,
      maxTokens,
      (layer) => {
        const sliding = c.layer_types ? c.layer_types[layer] === "sliding_attention" : layer % 2 === 0;
        return { sliding, rotation };
      },
      gemma2Block,
      where,
    );
  },
};

/** What Gemma 2 and 3 have in common around their blocks; `layerOf` says which layers' windows slide and how they rotate. */
export function gemma2Architecture(
  family: string,
  c: z.infer<z.ZodObject<typeof gemma2Sizes>>,
  maxTokens: number,
  layerOf: (layer: number) => { sliding: boolean; rotation: NonNullable<LlamaBlock["attention"]["rotation"]> },
  block: <V>(g: Builder<V>, x: V, kind: LlamaBlock) => V,
  where: string,
) {
  const shape = {
    ...attentionShape(c, where),
    scale: 1 / Math.sqrt(c.query_pre_attn_scalar),
    ...(c.attn_logit_softcapping && { softCap: c.attn_logit_softcapping }),
  };
  const feedForward = { hidden: c.hidden_size, intermediate: c.intermediate_size, bias: false };
  const bias = { qkv: c.attention_bias, out: c.attention_bias };
  const cap = c.final_logit_softcapping;
  return decoder<LlamaBlock>({
    family,
    config: c,
    maxTokens,
    kindOf(layer) {
      const { sliding, rotation } = layerOf(layer);
      const windowed = sliding && c.sliding_window ? { ...shape, window: c.sliding_window } : shape;
      return {
        attention: { hidden: c.hidden_size, shape: windowed, rotation, bias },
        feedForward,
        epsilon: c.rms_norm_eps,
      };
    },
    block,
    headKey: [c.rms_norm_eps, cap],
    finalNorm: (g, x, norm) => g.rmsNorm(x, { ...norm, offset: 1 }, c.rms_norm_eps),
    logits: (g, logits) => (cap ? g.softCap(logits, cap) : logits),
    opening: scaledEmbeddings(Math.sqrt(c.hidden_size)),
  });
}

/** `normed` is what Gemma 3 does to q and k. */
export function gemma2Block<V>(
  g: Builder<V>,
  x: V,
  { attention, feedForward, epsilon }: LlamaBlock,
  normed?: (x: V, which: "q" | "k", heads: number) => V,
): V {
  const norm = (from: V, name: string) => g.rmsNorm(from, { name, size: attention.hidden, offset: 1 }, epsilon);
  const attended = selfAttention(g, norm(x, "input_layernorm"), attention, SELF_ATTENTION, normed);
  const y = g.add(x, norm(attended, "post_attention_layernorm"));
  const n = norm(y, "pre_feedforward_layernorm");
  return g.add(y, norm(gatedFeedForward(g, n, feedForward, g.geluTanh), "post_feedforward_layernorm"));
}
