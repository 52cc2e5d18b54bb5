import { z } from "zod";
import type { Builder } from "../../engine/operations.js";
import { count, epsilon, readConfig } from "../config.js";
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
import { fused } from "../storage.js";

const gpt2Config = z.object({
  n_embd: count,
  n_layer: count,
  n_head: count,
  n_inner: count.nullish(),
  n_positions: count.default(1024),
  vocab_size: count,
  layer_norm_epsilon: epsilon.default(1e-5),
  activation_function: z.string().default("gelu_new"),
  tie_word_embeddings: z.boolean().default(true),
  scale_attn_weights: z.boolean().default(true),
  scale_attn_by_inverse_layer_idx: z.boolean().default(false),
});

interface Gpt2Block {
  readonly attention: Attention;
  readonly feedForward: FeedForward;
  readonly activation: Activation;
  readonly epsilon: number;
}

const QKV = "attn.c_attn";
const UP = "mlp.c_fc";
const DOWN = "mlp.c_proj";
const OUT = "attn.c_proj";
const NAMES: DecoderNames = {
  layers: "transformer.h",
  embedding: "transformer.wte",
  norm: "transformer.ln_f",
  head: "lm_head",
};

/** GPT-2 (Radford et al. 2019): learned positions, layer norms; weights stored as [in, out], q, k and v in one piece. */
export const gpt2: Family = {
  name: "gpt2",
  modelTypes: ["gpt2"],
  models: "GPT-2, DistilGPT2, Cerebras-GPT",
  architecture(config, where) {
    const c = readConfig(gpt2Config, config, where);
    const sizes = { ...c, hidden_size: c.n_embd, num_hidden_layers: c.n_layer, num_attention_heads: c.n_head };
    const hidden = c.n_embd;
    const shape = attentionShape(sizes, where);
    const plain = c.scale_attn_weights ? shape.scale : 1;
    const activation = findActivation(c.activation_function, where);
    const positions = { name: "transformer.wpe", rows: c.n_positions, size: hidden, offset: 0 };
    return decoder<Gpt2Block>({
      family: "gpt2",
      config: sizes,
      maxTokens: c.n_positions,
      names: NAMES,
      kindOf(layer) {
        const scale = c.scale_attn_by_inverse_layer_idx ? plain / (layer + 1) : plain;
        return {
          attention: { hidden, shape: { ...shape, scale }, bias: { qkv: true, out: true } },
          feedForward: { hidden, intermediate: c.n_inner ?? 4 * hidden, bias: true },
          activation,
          epsilon: c.layer_norm_epsilon,
        };
      },
      block: gpt2Block,
      headKey: c.layer_norm_epsilon,
      finalNorm: (g, x, norm) => g.layerNorm(x, { ...norm, bias: true }, c.layer_norm_epsilon),
      opening: { key: JSON.stringify(positions), build: (g, x) => g.add(x, g.positions(positions)) },
      storage: {
        ...fused(QKV, { q: hidden, k: hidden, v: hidden }, { transposed: true }),
        ...Object.fromEntries([OUT, UP, DOWN].map((name) => [name, { name, transposed: true }])),
      },
    });
  },
};

function gpt2Block<V>(g: Builder<V>, x: V, b: Gpt2Block): V {
  const norm = (from: V, name: string) => g.layerNorm(from, { name, size: b.attention.hidden, bias: true }, b.epsilon);
  const y = g.add(x, selfAttention(g, norm(x, "ln_1"), b.attention, fusedNames(QKV, OUT)));
  const names = { up: UP, down: DOWN };
  return g.add(y, feedForward(g, norm(y, "ln_2"), b.feedForward, activate(g, b.activation), names));
}
