import { z } from "zod";
import type { AttentionShape, Builder, Program, Rope } from "../../engine/operations.js";
import { InputError } from "../../errors.js";
import { count, readConfig } from "../config.js";
import type { Architecture, Family } from "../family.js";
import { ropeConfig, ropeFrequencies } from "../rope.js";

/** LLaMA 1 to 3 (Touvron et al. 2023, arXiv 2302.13971) and the many models that have its shape. */
export const llama: Family = {
  name: "llama",
  modelTypes: ["llama"],
  architecture(config, where) {
    const c = readConfig(llamaConfig, config, where);
    return llamaArchitecture(llamaSizes(c, where));
  },
};

/** The keys of config.json that the llama shape is made of. */
export const llamaConfig = z.object({
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  vocab_size: count,
  rms_norm_eps: z.number().positive().default(1e-6),
  hidden_act: z.literal("silu", "only silu is supported").default("silu"),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(false),
  ...ropeConfig,
});

/** What the block is built from; the key of its program. */
export interface LlamaSizes {
  readonly hidden: number;
  readonly intermediate: number;
  readonly layers: number;
  readonly vocabulary: number;
  readonly maxTokens: number;
  readonly epsilon: number;
  readonly tied: boolean;
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  readonly attention: AttentionShape;
  readonly frequencies: readonly number[];
}

/** Reads the sizes and checks that they fit together. Throws InputError. */
export function llamaSizes(c: z.infer<typeof llamaConfig>, where: string): LlamaSizes {
  const heads = c.num_attention_heads;
  const keyValueHeads = c.num_key_value_heads ?? heads;
  if (heads % keyValueHeads !== 0) {
    throw new InputError(
      `${where}: num_attention_heads ${heads} is no multiple of num_key_value_heads ${keyValueHeads}`,
    );
  }
  if (!c.head_dim && c.hidden_size % heads !== 0) {
    throw new InputError(`${where}: hidden_size ${c.hidden_size} is no multiple of num_attention_heads ${heads}`);
  }
  const headSize = c.head_dim ?? c.hidden_size / heads;
  if (headSize % 2 !== 0) throw new InputError(`${where}: rotary embedding needs an even head_dim, not ${headSize}`);
  return {
    hidden: c.hidden_size,
    intermediate: c.intermediate_size,
    layers: c.num_hidden_layers,
    vocabulary: c.vocab_size,
    maxTokens: c.max_position_embeddings,
    epsilon: c.rms_norm_eps,
    tied: c.tie_word_embeddings,
    attentionBias: c.attention_bias,
    mlpBias: c.mlp_bias,
    attention: { heads, keyValueHeads, headSize, scale: 1 / Math.sqrt(headSize) },
    frequencies: ropeFrequencies(c, headSize, where),
  };
}

/** The names and programs of a model of the llama shape. */
export function llamaArchitecture(sizes: LlamaSizes): Architecture {
  const block: Program = {
    key: `llama block ${JSON.stringify(sizes)}`,
    columns: { in: sizes.hidden, out: sizes.hidden },
    build: (g, x) => llamaBlock(g, x, sizes),
  };
  return {
    hiddenSize: sizes.hidden,
    layers: sizes.layers,
    vocabularySize: sizes.vocabulary,
    maxTokens: sizes.maxTokens,
    embedding: "model.embed_tokens.weight",
    unembedding: "lm_head.weight",
    tied: sizes.tied,
    layerPrefix: (layer) => `model.layers.${layer}.`,
    headPrefix: "model.",
    block: () => block,
    head: {
      key: `llama head ${sizes.hidden} ${sizes.vocabulary} ${sizes.epsilon}`,
      columns: { in: sizes.hidden, out: sizes.vocabulary },
      build(g, x) {
        const h = g.rmsNorm(x, { name: "norm", size: sizes.hidden }, sizes.epsilon);
        return g.linear(h, { name: "lm_head", in: sizes.hidden, out: sizes.vocabulary, bias: false });
      },
    },
  };
}

function llamaBlock<V>(g: Builder<V>, x: V, s: LlamaSizes): V {
  const { heads, keyValueHeads, headSize } = s.attention;
  const linear = (from: V, name: string, inputs: number, outputs: number, bias: boolean) =>
    g.linear(from, { name, in: inputs, out: outputs, bias });
  const norm = (from: V, name: string) => g.rmsNorm(from, { name, size: s.hidden }, s.epsilon);
  const rope = (count: number): Rope => ({ heads: count, headSize, frequencies: s.frequencies });

  const h = norm(x, "input_layernorm"); // [rows, hidden]
  const q = g.rope(linear(h, "self_attn.q_proj", s.hidden, heads * headSize, s.attentionBias), rope(heads));
  const k = g.rope(
    linear(h, "self_attn.k_proj", s.hidden, keyValueHeads * headSize, s.attentionBias),
    rope(keyValueHeads),
  );
  const v = linear(h, "self_attn.v_proj", s.hidden, keyValueHeads * headSize, s.attentionBias);
  const mixed = g.attention(q, k, v, s.attention); // [rows, heads · headSize]
  const y = g.add(x, linear(mixed, "self_attn.o_proj", heads * headSize, s.hidden, s.attentionBias));

  const n = norm(y, "post_attention_layernorm"); // [rows, hidden]
  const gate = g.silu(linear(n, "mlp.gate_proj", s.hidden, s.intermediate, s.mlpBias));
  const up = linear(n, "mlp.up_proj", s.hidden, s.intermediate, s.mlpBias);
  return g.add(y, linear(g.mul(gate, up), "mlp.down_proj", s.intermediate, s.hidden, s.mlpBias));
}
