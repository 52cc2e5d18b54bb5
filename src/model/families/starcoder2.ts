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
  feedForward,
  findActivation,
  selfAttention,
} from "../parts.js";
import { readRope, ropeConfig } from "../rope.js";

const starcoder2Config = z.object({
  ...sizesConfig,
  intermediate_size: count,
  num_key_value_heads: count.default(2),
  norm_epsilon: epsilon.default(1e-5),
  hidden_act: z.string().default("gelu_pytorch_tanh"),
  tie_word_embeddings: z.boolean().default(true),
  use_bias: z.boolean().default(true),
  sliding_window: count.nullish(),
  ...ropeConfig,
  max_position_embeddings: count.default(4096),
});

interface Starcoder2Block {
  readonly attention: Attention;
  readonly feedForward: FeedForward;
  readonly activation: Activation;
  readonly epsilon: number;
}

/** StarCoder2 (Lozhkov et al. 2024, arXiv 2402.19173): rotated positions, layer norms, biases, no gate. */
export const starcoder2: Family = {
  name: "starcoder2",
  modelTypes: ["starcoder2"],
  models: "StarCoder2",
  architecture(config, where) {
    const c = readConfig(starcoder2Config, config, where);
    const hidden = c.hidden_size;
    const plain = attentionShape(c, where);
    const shape = c.sliding_window ? { ...plain, window: c.sliding_window } : plain;
    const { rotation, maxTokens } = readRope(c, shape.headSize, where);
    const kind: Starcoder2Block = {
      attention: { hidden, shape, rotation, bias: { qkv: c.use_bias, out: c.use_bias } },
      feedForward: { hidden, intermediate: c.intermediate_size, bias: c.use_bias },
      activation: findActivation(c.hidden_act, where),
      epsilon: c.norm_epsilon,
    };
    return decoder<Starcoder2Block>({
      family: "starcoder2",
      config: c,
      maxTokens,
      kindOf: () => kind,
      block: starcoder2Block,
      headKey: c.norm_epsilon,
      finalNorm: (g, x, norm) => g.layerNorm(x, { ...norm, bias: true }, c.norm_epsilon),
    });
  },
};

function starcoder2Block<V>(g: Builder<V>, x: V, b: Starcoder2Block): V {
  const norm = (from: V, name: string) => g.layerNorm(from, { name, size: b.attention.hidden, bias: true }, b.epsilon);
  const y = g.add(x, selfAttention(g, norm(x, "input_layernorm"), b.attention));
  const names = { up: "mlp.c_fc", down: "mlp.c_proj" };
  const n = norm(y, "post_attention_layernorm");
  return g.add(y, feedForward(g, n, b.feedForward, activate(g, b.activation), names));
}
