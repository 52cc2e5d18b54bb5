import { z } from "zod";
import type { Builder } from "../../engine/operations.js";
import { count, epsilon, readConfig, respelt, sizesConfig } from "../config.js";
import type { Family } from "../family.js";
import {
  type Activation,
  type Attention,
  activate,
  attentionShape,
  type DecoderNames,
  decoder,
  type FeedForward,
  feedForward,
  findActivation,
  fusedNames,
  selfAttention,
} from "../parts.js";
import { readRope, ropeConfig } from "../rope.js";
import { fused } from "../storage.js";

const neoxConfig = z.object({
  ...sizesConfig,
  intermediate_size: count,
  layer_norm_eps: epsilon.default(1e-5),
  hidden_act: z.string().default("gelu"),
  tie_word_embeddings: z.boolean().default(false),
  use_parallel_residual: z.boolean().default(true),
  attention_bias: z.boolean().default(true),
  ...ropeConfig,
});

interface NeoxBlock {
  readonly attention: Attention;
  readonly feedForward: FeedForward;
  readonly activation: Activation;
  readonly epsilon: number;
  readonly parallel: boolean;
}

const QKV = "attention.query_key_value";
const NAMES: DecoderNames = {
  layers: "gpt_neox.layers",
  embedding: "gpt_neox.embed_in",
  norm: "gpt_neox.final_layer_norm",
  head: "embed_out",
};

/** GPT-NeoX (Black et al. 2022, arXiv 2204.06745): attention and feed-forward side by side; q, k and v stored head by head. */
export const gptNeox: Family = {
  name: "gpt_neox",
  modelTypes: ["gpt_neox"],
  models: "Pythia, GPT-NeoX-20B, Dolly 2, RedPajama-INCITE",
  architecture(config, where) {
    const spellings = [
      ["rotary_pct", "partial_rotary_factor"],
      ["rotary_emb_base", "rope_theta"],
    ] as const;
    const c = readConfig(neoxConfig, respelt(config, spellings), where);
    const hidden = c.hidden_size;
    const shape = attentionShape(c, where);
    const { rotation, maxTokens } = readRope(c, shape.headSize, where, { share: 0.25 });
    const kind: NeoxBlock = {
      attention: { hidden, shape, rotation, bias: { qkv: c.attention_bias, out: c.attention_bias } },
      feedForward: { hidden, intermediate: c.intermediate_size, bias: true },
      activation: findActivation(c.hidden_act, where),
      epsilon: c.layer_norm_eps,
      parallel: c.use_parallel_residual,
    };
    const { heads, headSize: size } = shape;
    return decoder<NeoxBlock>({
      family: "gpt_neox",
      config: c,
      maxTokens,
      names: NAMES,
      kindOf: () => kind,
      block: neoxBlock,
      headKey: c.layer_norm_eps,
      finalNorm: (g, x, norm) => g.layerNorm(x, { ...norm, bias: true }, c.layer_norm_eps),
      storage: fused(QKV, { q: size, k: size, v: size }, { groups: heads }),
    });
  },
};

function neoxBlock<V>(g: Builder<V>, x: V, b: NeoxBlock): V {
  const norm = (from: V, name: string) => g.layerNorm(from, { name, size: b.attention.hidden, bias: true }, b.epsilon);
  const attended = selfAttention(g, norm(x, "input_layernorm"), b.attention, fusedNames(QKV, "attention.dense"));
  const y = g.add(x, attended);
  const names = { up: "mlp.dense_h_to_4h", down: "mlp.dense_4h_to_h" };
  const n = norm(b.parallel ? x : y, "post_attention_layernorm");
  return g.add(y, feedForward(g, n, b.feedForward, activate(g, b.activation), names));
}
