import { z } from "zod";
import type { Builder } from "../../engine/operations.js";
import { count, epsilon, readConfig, sizesConfig } from "../config.js";
import type { Architecture, Family } from "../family.js";
import {
  type Attention,
  attentionShape,
  decoder,
  type FeedForward,
  gatedFeedForward,
  selfAttention,
} from "../parts.js";
import { type RopeDefaults, readRope, ropeConfig } from "../rope.js";

/** LLaMA 1 to 3 (Touvron et al. 2023, arXiv 2302.13971) and the many models that have its shape. */
export const llama: Family = {
  name: "llama",
  modelTypes: ["llama"],
  models: "LLaMA 1 to 3, TinyLlama, SmolLM, Yi",
  architecture(config, where) {
    const c = readConfig(llamaConfig, config, where);
    const bias = { qkv: c.attention_bias, out: c.attention_bias, feedForward: c.mlp_bias };
    return llamaArchitecture("llama", c, { bias }, where);
  },
};

/** The keys of config.json that the llama shape is made of. */
export const llamaSizes = {
  ...sizesConfig,
  intermediate_size: count,
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  rms_norm_eps: epsilon.default(1e-6),
  hidden_act: z.literal("silu", "only silu is supported").default("silu"),
  tie_word_embeddings: z.boolean().default(false),
  ...ropeConfig,
};

const llamaConfig = z.object({
  ...llamaSizes,
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
});

/** What the block is built from. */
export interface LlamaBlock {
  readonly attention: Attention;
  readonly feedForward: FeedForward;
  readonly epsilon: number;
}

interface Variation {
  readonly bias: { readonly qkv: boolean; readonly out: boolean; readonly feedForward: boolean };
  /** A layer's sliding window, where it has one. */
  readonly windowOf?: (layer: number) => number | undefined;
  /** Whether a layer knows positions; all do where it is left out. */
  readonly rotates?: (layer: number) => boolean;
  readonly rope?: RopeDefaults;
}

/** A model of LLaMA's shape. Throws InputError where its sizes do not fit together. */
export function llamaArchitecture(
  family: string,
  c: z.infer<z.ZodObject<typeof llamaSizes>>,
  { bias, windowOf, rotates = () => true, rope }: Variation,
  where: string,
): Architecture {
  const shape = attentionShape(c, where);
  const { rotation, maxTokens } = readRope(c, shape.headSize, where, rope);
  const feedForward = { hidden: c.hidden_size, intermediate: c.intermediate_size, bias: bias.feedForward };
  return decoder<LlamaBlock>({
    family,
    config: c,
    maxTokens,
    kindOf(layer) {
      const window = windowOf?.(layer);
      const windowed = window === undefined ? shape : { ...shape, window };
      return {
        attention: { hidden: c.hidden_size, shape: windowed, rotation: rotates(layer) ? rotation : undefined, bias },
        feedForward,
        epsilon: c.rms_norm_eps,
      };
    },
    block: llamaBlock,
    headKey: c.rms_norm_eps,
    finalNorm: (g, x, norm) => g.rmsNorm(x, norm, c.rms_norm_eps),
  });
}

function llamaBlock<V>(g: Builder<V>, x: V, { attention, feedForward, epsilon }: LlamaBlock): V {
  const norm = (from: V, name: string) => g.rmsNorm(from, { name, size: attention.hidden }, epsilon);
  const y = g.add(x, selfAttention(g, norm(x, "input_layernorm"), attention));
  return g.add(y, gatedFeedForward(g, norm(y, "post_attention_layernorm"), feedForward, g.silu));
}
