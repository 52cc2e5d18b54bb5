import { z } from "zod";
import type { Builder } from "../../engine/operations.js";
import { count, epsilon, readConfig } from "../config.js";
import type { Family } from "../family.js";
import { attentionShape, decoder, gatedFeedForward, SELF_ATTENTION, selfAttention } from "../parts.js";
import { readRope } from "../rope.js";
import { type LlamaBlock, llamaSizes } from "./llama.js";

const olmo2Config = z.object({
  ...llamaSizes,
  rms_norm_eps: epsilon.default(1e-5),
  max_position_embeddings: count.default(2048),
  attention_bias: z.boolean().default(false),
});

/** OLMo 2 (OLMo Team 2025, arXiv 2501.00656): norms of what is added instead of what is read, and of all of q and of k. */
export const olmo2: Family = {
  name: "olmo2",
  modelTypes: ["olmo2"],
  models: "OLMo 2",
  architecture(config, where) {
    const c = readConfig(olmo2Config, config, where);
    const shape = attentionShape(c, where);
    const { rotation, maxTokens } = readRope(c, shape.headSize, where);
    const bias = { qkv: c.attention_bias, out: c.attention_bias };
    const kind: LlamaBlock = {
      attention: { hidden: c.hidden_size, shape, rotation, bias },
      feedForward: { hidden: c.hidden_size, intermediate: c.intermediate_size, bias: false },
      epsilon: c.rms_norm_eps,
    };
    return decoder<LlamaBlock>({
      family: "olmo2",
      config: c,
      maxTokens,
      kindOf: () => kind,
      block: olmo2Block,
      headKey: c.rms_norm_eps,
      finalNorm: (g, x, norm) => g.rmsNorm(x, norm, c.rms_norm_eps),
    });
  },
};

function olmo2Block<V>(g: Builder<V>, x: V, { attention, feedForward, epsilon }: LlamaBlock): V {
  const norm = (from: V, name: string, size = attention.hidden) => g.rmsNorm(from, { name, size }, epsilon);
  const attended = selfAttention(g, x, attention, SELF_ATTENTION, (from, which, heads) =>
    norm(from, `self_attn.${which}_norm`, heads * attention.shape.headSize),
  );
  const y = g.add(x, norm(attended, "post_attention_layernorm"));
  return g.add(y, norm(gatedFeedForward(g, y, feedForward, g.silu), "post_feedforward_layernorm"));
}
