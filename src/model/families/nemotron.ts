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

const nemotronConfig = z.object({
  ...sizesConfig,
  intermediate_size: count,
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  norm_eps: epsilon.default(1e-5),
  hidden_act: z.string().default("relu2"),
  tie_word_embeddings: z.boolean().default(false),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  ...ropeConfig,
  max_position_embeddings: count.default(4096),
});

interface NemotronBlock {
  readonly attention: Attention;
  readonly feedForward: FeedForward;
  readonly activation: Activation;
  readonly epsilon: number;
}

/** Nemotron-4 (Parmar et al. 2024, arXiv 2402.16819): layer norms stored less 1, squared ReLU, half of the heads rotated. */
export const nemotron: Family = {
  name: "nemotron",
  modelTypes: ["nemotron"],
  models: "Nemotron-4, Minitron",
  architecture(config, where) {
    const c = readConfig(nemotronConfig, config, where);
    const hidden = c.hidden_size;
    const shape = attentionShape(c, where);
    const { rotation, maxTokens } = readRope(c, shape.headSize, where, { share: 0.5 });
    const kind: NemotronBlock = {
      attention: { hidden, shape, rotation, bias: { qkv: c.attention_bias, out: c.attention_bias } },
      feedForward: { hidden, intermediate: c.intermediate_size, bias: c.mlp_bias },
      activation: findActivation(c.hidden_act, where),
      epsilon: c.norm_eps,
    };
    return decoder<NemotronBlock>({
      family: "nemotron",
      config: c,
      maxTokens,
      kindOf: () => kind,
      block: nemotronBlock,
      headKey: c.norm_eps,
      finalNorm: (g, x, norm) => g.layerNorm(x, { ...norm, bias: true, offset: 1 }, c.norm_eps),
    });
  },
};

function nemotronBlock<V>(g: Builder<V>, x: V, b: NemotronBlock): V {
  const norm = (from: V, name: string) =>
    g.layerNorm(from, { name, size: b.attention.hidden, bias: true, offset: 1 }, b.epsilon);
  const y = g.add(x, selfAttention(g, norm(x, "input_layernorm"), b.attention));
  const names = { up: "mlp.up_proj", down: "mlp.down_proj" };
  const n = norm(y, "post_attention_layernorm");
  return g.add(y, feedForward(g, n, b.feedForward, activate(g, b.activation), names));
}
