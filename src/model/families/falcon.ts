import { z } from "zod";
import type { AttentionShape, Builder } from "../../engine/operations.js";
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
import { fused, type Storage } from "../storage.js";
import { alibiSlopes } from "./bloom.js";

const falconConfig = z.object({
  ...sizesConfig,
  num_kv_heads: count.nullish(),
  ffn_hidden_size: count.nullish(),
  layer_norm_epsilon: epsilon.default(1e-5),
  activation: z.string().default("gelu"),
  tie_word_embeddings: z.boolean().default(true),
  alibi: z.boolean().default(false),
  new_decoder_architecture: z.boolean().default(false),
  multi_query: z.boolean().default(true),
  parallel_attn: z.boolean().default(true),
  num_ln_in_parallel_attn: z.literal([1, 2]).nullish(),
  bias: z.boolean().default(false),
  ...ropeConfig,
});

const SPELLINGS = [
  ["n_embed", "hidden_size"],
  ["n_layer", "num_hidden_layers"],
  ["n_head", "num_attention_heads"],
  ["n_head_kv", "num_kv_heads"],
] as const;

type Norms =
  | "one" // before both attention and feed-forward, which stand side by side
  | "two" // one before each, side by side
  | "sequential";

interface FalconBlock {
  readonly attention: Attention;
  readonly feedForward: FeedForward;
  readonly activation: Activation;
  readonly epsilon: number;
  readonly norms: Norms;
}

const QKV = "self_attention.query_key_value";
const NAMES: DecoderNames = {
  layers: "transformer.h",
  embedding: "transformer.word_embeddings",
  norm: "transformer.ln_f",
  head: "lm_head",
};

/**
 * Falcon (Almazrouei et al. 2023, arXiv 2311.16867): three layouts of q, k and v in one tensor. Where it has ALiBi,
 * transformers rounds the biases to bfloat16 (and with eager attention adds them twice); they are exact here.
 */
export const falcon: Family = {
  name: "falcon",
  modelTypes: ["falcon"],
  models: "Falcon 7B, 40B, 180B, Falcon-RW",
  architecture(config, where) {
    const c = readConfig(falconConfig, respelt(config, SPELLINGS), where);
    const hidden = c.hidden_size;
    const grouped = c.num_kv_heads ?? c.num_attention_heads;
    const keyValueHeads = c.new_decoder_architecture ? grouped : c.multi_query ? 1 : c.num_attention_heads;
    const plain = attentionShape({ ...c, num_key_value_heads: keyValueHeads }, where);
    const shape = c.alibi
      ? { ...plain, slopes: alibiSlopes(plain.heads).map((slope) => slope * plain.scale) } // added before scaling
      : plain;
    const { rotation, maxTokens } = readRope(c, plain.headSize, where);
    const sideBySide = c.new_decoder_architecture || c.parallel_attn;
    const two = c.new_decoder_architecture && (c.num_ln_in_parallel_attn ?? 2) === 2;
    const kind: FalconBlock = {
      attention: { hidden, shape, rotation: c.alibi ? undefined : rotation, bias: { qkv: c.bias, out: c.bias } },
      feedForward: { hidden, intermediate: c.ffn_hidden_size ?? 4 * hidden, bias: c.bias },
      activation: findActivation(c.activation, where),
      epsilon: c.layer_norm_epsilon,
      norms: !sideBySide ? "sequential" : two ? "two" : "one",
    };
    return decoder<FalconBlock>({
      family: "falcon",
      config: c,
      maxTokens,
      names: NAMES,
      kindOf: () => kind,
      block: falconBlock,
      headKey: c.layer_norm_epsilon,
      finalNorm: (g, x, norm) => g.layerNorm(x, { ...norm, bias: true }, c.layer_norm_epsilon),
      storage: layout(shape),
    });
  },
};

/**
 * Each key and value head with the queries that share it: those, the key, the value. With as many of them as query heads
 * (Falcon-RW) this is q, k, v head by head; with a single one (7B) all of q, then k, then v.
 */
function layout({ heads, keyValueHeads, headSize }: AttentionShape): Storage {
  const queries = (heads / keyValueHeads) * headSize;
  return fused(QKV, { q: queries, k: headSize, v: headSize }, { groups: keyValueHeads });
}

function falconBlock<V>(g: Builder<V>, x: V, b: FalconBlock): V {
  const norm = (from: V, name: string) => g.layerNorm(from, { name, size: b.attention.hidden, bias: true }, b.epsilon);
  const h = norm(x, b.norms === "two" ? "ln_attn" : "input_layernorm");
  const y = g.add(x, selfAttention(g, h, b.attention, fusedNames(QKV, "self_attention.dense")));
  const readBy = { one: () => h, two: () => norm(x, "ln_mlp"), sequential: () => norm(y, "post_attention_layernorm") };
  const names = { up: "mlp.dense_h_to_4h", down: "mlp.dense_4h_to_h" };
  return g.add(y, feedForward(g, readBy[b.norms](), b.feedForward, activate(g, b.activation), names));
}
