import { z } from "zod";
import type { Builder } from "../../engine/operations.js";
import { count, epsilon, readConfig, sizesConfig } from "../config.js";
import type { Family } from "../family.js";
import {
  type Attention,
  attentionShape,
  decoder,
  type FeedForward,
  gatedFeedForward,
  selfAttention,
} from "../parts.js";
import { readRope, ropeConfig } from "../rope.js";

const cohereConfig = z.object({
  ...sizesConfig,
  intermediate_size: count,
  num_key_value_heads: count.nullish(),
  layer_norm_eps: epsilon.default(1e-5),
  hidden_act: z.literal("silu", "only silu is supported").default("silu"),
  tie_word_embeddings: z.boolean().default(true),
  attention_bias: z.boolean().default(false),
  use_qk_norm: z.literal([false, null], "norms of queries and keys (Command R+) are not supported").default(false),
  logit_scale: z.number().default(0.0625),
  ...ropeConfig,
  max_position_embeddings: count.default(8192),
});

interface CohereBlock {
  readonly attention: Attention;
  readonly feedForward: FeedForward;
  readonly epsilon: number;
}

/** Cohere's Command R (2024): attention and feed-forward side by side on one norm without a bias, neighbours rotated. */
export const cohere: Family = {
  name: "cohere",
  modelTypes: ["cohere"],
  models: "Command R (not R+), Aya 23, Aya Expanse",
  architecture(config, where) {
    const c = readConfig(cohereConfig, config, where);
    const hidden = c.hidden_size;
    const shape = attentionShape(c, where);
    const { rotation, maxTokens } = readRope(c, shape.headSize, where, { theta: 500_000 });
    const kind: CohereBlock = {
      attention: {
        hidden,
        shape,
        rotation: { ...rotation, interleaved: true },
        bias: { qkv: c.attention_bias, out: c.attention_bias },
      },
      feedForward: { hidden, intermediate: c.intermediate_size, bias: false },
      epsilon: c.layer_norm_eps,
    };
    return decoder<CohereBlock>({
      family: "cohere",
      config: c,
      maxTokens,
      kindOf: () => kind,
      block: cohereBlock,
      headKey: [c.layer_norm_eps, c.logit_scale],
      finalNorm: (g, x, norm) => g.layerNorm(x, { ...norm, bias: false }, c.layer_norm_eps),
      logits: (g, logits) => g.scale(logits, c.logit_scale),
    });
  },
};

function cohereBlock<V>(g: Builder<V>, x: V, { attention, feedForward, epsilon }: CohereBlock): V {
  const h = g.layerNorm(x, { name: "input_layernorm", size: attention.hidden, bias: false }, epsilon);
  return g.add(x, g.add(selfAttention(g, h, attention), gatedFeedForward(g, h, feedForward, g.silu)));
}
