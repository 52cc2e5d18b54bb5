import { z } from "zod";
import type { Builder } from "../../engine/operations.js";
import { readConfig } from "../config.js";
import type { Family } from "../family.js";
import { attentionShape, decoder, gatedFeedForward, selfAttention } from "../parts.js";
import { readRope } from "../rope.js";
import { scaledEmbeddings } from "./gemma.js";
import { type LlamaBlock, llamaSizes } from "./llama.js";

const factor = z.number().default(1);

const graniteConfig = z.object({
  ...llamaSizes,
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  embedding_multiplier: factor,
  attention_multiplier: factor,
  residual_multiplier: factor,
  logits_scaling: factor,
});

interface GraniteBlock extends LlamaBlock {
  /** What is added to x is multiplied by this. */
  readonly residual: number;
}

/** Granite 3 (IBM 2024): LLaMA's block with multipliers for embeddings, scores, sums and logits. */
export const granite: Family = {
  name: "granite",
  modelTypes: ["granite"],
  models: "Granite 3 (dense)",
  architecture(config, where) {
    const c = readConfig(graniteConfig, config, where);
    const shape = { ...attentionShape(c, where), scale: c.attention_multiplier };
    const { rotation, maxTokens } = readRope(c, shape.headSize, where);
    const bias = { qkv: c.attention_bias, out: c.attention_bias };
    const kind: GraniteBlock = {
      attention: { hidden: c.hidden_size, shape, rotation, bias },
      feedForward: { hidden: c.hidden_size, intermediate: c.intermediate_size, bias: c.mlp_bias },
      epsilon: c.rms_norm_eps,
      residual: c.residual_multiplier,
    };
    return decoder<GraniteBlock>({
      family: "granite",
      config: c,
      maxTokens,
      kindOf: () => kind,
      block: graniteBlock,
      headKey: [c.rms_norm_eps, c.logits_scaling],
      finalNorm: (g, x, norm) => g.rmsNorm(x, norm, c.rms_norm_eps),
      logits: (g, logits) => g.scale(logits, 1 / c.logits_scaling),
      opening: scaledEmbeddings(c.embedding_multiplier),
    });
  },
};

function graniteBlock<V>(g: Builder<V>, x: V, { attention, feedForward, epsilon, residual }: GraniteBlock): V {
  const norm = (from: V, name: string) => g.rmsNorm(from, { name, size: attention.hidden }, epsilon);
  const y = g.add(x, g.scale(selfAttention(g, norm(x, "input_layernorm"), attention), residual));
  const n = norm(y, "post_attention_layernorm");
  return g.add(y, g.scale(gatedFeedForward(g, n, feedForward, g.silu), residual));
}
