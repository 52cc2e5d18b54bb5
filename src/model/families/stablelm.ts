import { z } from "zod";
import type { Builder } from "../../engine/operations.js";
import { count, epsilon, readConfig, sizesConfig } from "../config.js";
import type { Family } from "../family.js";
import {
  type Activation,
  type Attention,
  activate,
  attentionShape,
  decoder,
  type FeedForward,
  findActivation,
  gatedFeedForward,
  selfAttention,
} from "../parts.js";
import { readRope, ropeConfig } from "../rope.js";

const stablelmConfig = z.object({
  ...sizesConfig,
  intermediate_size: count,
  num_key_value_heads: count.default(32),
  layer_norm_eps: epsilon.default(1e-5),
  hidden_act: z.string().default("silu"),
  tie_word_embeddings: z.boolean().default(false),
  use_qkv_bias: z.boolean().default(false),
  use_parallel_residual: z.boolean().default(false),
  qk_layernorm: z.literal(false, "norms of queries and keys are not supported").default(false),
  ...ropeConfig,
  max_position_embeddings: count.default(4096),
});

interface StablelmBlock {
  readonly attention: Attention;
  readonly feedForward: FeedForward;
  readonly activation: Activation;
  readonly epsilon: number;
  readonly parallel: boolean;
}

/** StableLM (Bellagente et al. 2024, arXiv 2402.17834): LLaMA's block with layer norms and a quarter of the heads rotated. */
export const stablelm: Family = {
  name: "stablelm",
  modelTypes: ["stablelm"],
  models: "StableLM 2 1.6B, StableLM 3B, Stable Code",
  architecture(config, where) {
    const c = readConfig(stablelmConfig, config, where);
    const hidden = c.hidden_size;
    const shape = attentionShape(c, where);
    const { rotation, maxTokens } = readRope(c, shape.headSize, where, { share: 0.25 });
    const kind: StablelmBlock = {
      attention: { hidden, shape, rotation, bias: { qkv: c.use_qkv_bias, out: false } },
      feedForward: { hidden, intermediate: c.intermediate_size, bias: false },
      activation: findActivation(c.hidden_act, where),
      epsilon: c.layer_norm_eps,
      parallel: c.use_parallel_residual,
    };
    return decoder<StablelmBlock>({
      family: "stablelm",
      config: c,
      maxTokens,
      kindOf: () => kind,
      block: stablelmBlock,
      headKey: c.layer_norm_eps,
      finalNorm: (g, x, norm) => g.layerNorm(x, { ...norm, bias: true }, c.layer_norm_eps),
    });
  },
};

function stablelmBlock<V>(g: Builder<V>, x: V, b: StablelmBlock): V {
  const norm = (from: V, name: string) => g.layerNorm(from, { name, size: b.attention.hidden, bias: true }, b.epsilon);
  const h = norm(x, "input_layernorm");
  const y = g.add(x, selfAttention(g, h, b.attention));
  const n = b.parallel ? h : norm(y, "post_attention_layernorm");
  return g.add(y, gatedFeedForward(g, n, b.feedForward, activate(g, b.activation)));
}
