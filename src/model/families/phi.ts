import { z } from "zod";
import type { Builder } from "../../engine/operations.js";
import { count, epsilon, readConfig, sizesConfig } from "../config.js";
import type { Family } from "../family.js";
import {
  type Activation,
  type Attention,
  type AttentionNames,
  activate,
  attentionShape,
  decoder,
  type FeedForward,
  feedForward,
  findActivation,
  MODEL,
  SELF_ATTENTION,
  selfAttention,
} from "../parts.js";
import { readRope, ropeConfig } from "../rope.js";

const phiConfig = z.object({
  ...sizesConfig,
  intermediate_size: count,
  num_key_value_heads: count.nullish(),
  layer_norm_eps: epsilon.default(1e-5),
  hidden_act: z.string().default("gelu_new"),
  tie_word_embeddings: z.boolean().default(false),
  qk_layernorm: z.literal(false, "norms of queries and keys are not supported").default(false),
  ...ropeConfig,
});

interface PhiBlock {
  readonly attention: Attention;
  readonly feedForward: FeedForward;
  readonly activation: Activation;
  readonly epsilon: number;
}

const ATTENTION: AttentionNames = { ...SELF_ATTENTION, out: "self_attn.dense" };

/** Phi 1 to 2 (Li et al. 2023, arXiv 2309.05463): attention and feed-forward side by side on one norm. */
export const phi: Family = {
  name: "phi",
  modelTypes: ["phi"],
  models: "Phi-1, Phi-1.5, Phi-2",
  architecture(config, where) {
    const c = readConfig(phiConfig, config, where);
    const hidden = c.hidden_size;
    const shape = attentionShape(c, where);
    const { rotation, maxTokens } = readRope(c, shape.headSize, where, { share: 0.5 });
    const kind: PhiBlock = {
      attention: { hidden, shape, rotation, bias: { qkv: true, out: true } },
      feedForward: { hidden, intermediate: c.intermediate_size, bias: true },
      activation: findActivation(c.hidden_act, where),
      epsilon: c.layer_norm_eps,
    };
    return decoder<PhiBlock>({
      family: "phi",
      config: c,
      maxTokens,
      names: { ...MODEL, norm: "model.final_layernorm" },
      kindOf: () => kind,
      block: phiBlock,
      headBias: true,
      headKey: c.layer_norm_eps,
      finalNorm: (g, x, norm) => g.layerNorm(x, { ...norm, bias: true }, c.layer_norm_eps),
    });
  },
};

function phiBlock<V>(g: Builder<V>, x: V, b: PhiBlock): V {
  const h = g.layerNorm(x, { name: "input_layernorm", size: b.attention.hidden, bias: true }, b.epsilon);
  const attended = selfAttention(g, h, b.attention, ATTENTION);
  const names = { up: "mlp.fc1", down: "mlp.fc2" };
  return g.add(x, g.add(attended, feedForward(g, h, b.feedForward, activate(g, b.activation), names)));
}
