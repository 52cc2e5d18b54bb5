import type { RowOrder } from "./layout.js";
import type { Metadata } from "./metadata.js";

/**
 * What llama.cpp's architectures are called and how they are stored in Hugging Face's layout: the inverse of what llama.cpp's
 * converter (conversion/*.py) does. One entry an architecture, as data; values that GGUF does not keep because llama.cpp
 * builds them in stand under `fixed`.
 */
export interface GgufArchitecture {
  /** general.architecture. */
  readonly name: string;
  readonly modelType: string;
  /** Whether it is the one of two of its name that mixes experts. */
  readonly experts?: boolean;
  /** The class of transformers that opens it. */
  readonly className: string;
  /** Metadata keys of the architecture and what config.json calls them. */
  readonly keys: readonly (readonly [gguf: string, config: string])[];
  /** Keys that are written where config.json has them; `derived` reads them. */
  readonly extra?: readonly (readonly [gguf: string, config: string])[];
  /** What config.json has to say and the metadata do not. */
  readonly fixed?: Readonly<Record<string, unknown>>;
  /** What config.json says of what the metadata and the tensors say together. */
  readonly derived?: (facts: Facts) => Readonly<Record<string, unknown>>;
  /** How config.json says what rotates; none where nothing does. */
  readonly rope?: { readonly theta: string; readonly share?: string };
  /** Whether config.json has a head_dim of its own. */
  readonly headDim?: boolean;
  /** Tensors by their names in GGUF, those of blocks without `blk.N.`. */
  readonly tensors: Readonly<Record<string, TensorRule | string>>;
  /** What stands before the names of a block's tensors in Hugging Face's: `model.layers`. */
  readonly layers: string;
  /** What quantized weights are written as; BF16 where activations leave float16's range. F16 where not given. */
  readonly half?: "F16" | "BF16";
}

/** What reads a model's metadata and tensors. */
export interface Facts {
  readonly metadata: Metadata;
  readonly has: (tensor: string) => boolean;
}

export interface TensorRule {
  /** Its name in Hugging Face's layout; `*` stands for an expert's number. */
  readonly name: string;
  readonly order?: RowOrder;
  /** Hugging Face stores it as [in, out]. */
  readonly transposed?: boolean;
  /** What the converter added to the values. */
  readonly added?: number;
  /** Its name where the block has another tensor too. */
  readonly beside?: { readonly tensor: string; readonly name: string };
}

export type Rules = GgufArchitecture["tensors"];
type Keys = GgufArchitecture["keys"];

export const SIZES: Keys = [
  ["context_length", "max_position_embeddings"],
  ["embedding_length", "hidden_size"],
  ["block_count", "num_hidden_layers"],
  ["feed_forward_length", "intermediate_size"],
  ["attention.head_count", "num_attention_heads"],
];
export const GROUPED: Keys = [...SIZES, ["attention.head_count_kv", "num_key_value_heads"]];
export const RMS: Keys = [...GROUPED, ["attention.layer_norm_rms_epsilon", "rms_norm_eps"]];
export const LAYER_NORM: Keys = [...GROUPED, ["attention.layer_norm_epsilon", "layer_norm_eps"]];

export const ROPE = { theta: "rope_theta" };
export const PARTIAL_ROPE = { theta: "rope_theta", share: "partial_rotary_factor" };

/** Around the blocks. */
export const MODEL: Rules = {
  token_embd: "model.embed_tokens",
  output_norm: "model.norm",
  output: "lm_head",
};
export const ATTENTION: Rules = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
};
export const ROTATED: Rules = {
  ...ATTENTION,
  attn_q: { name: "self_attn.q_proj", order: "rope" },
  attn_k: { name: "self_attn.k_proj", order: "rope" },
};
export const FEED_FORWARD: Rules = {
  ffn_norm: "post_attention_layernorm",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};
export const GATED: Rules = { ...FEED_FORWARD, ffn_gate: "mlp.gate_proj" };
export const HEAD_NORMS: Rules = { attn_q_norm: "self_attn.q_norm", attn_k_norm: "self_attn.k_norm" };
export const NORMS_AROUND: Rules = {
  post_attention_norm: "post_attention_layernorm",
  ffn_norm: "pre_feedforward_layernorm",
  post_ffw_norm: "post_feedforward_layernorm",
};

/** Norms whose stored weights the converter made 1 larger, since Hugging Face's models add 1 when they compute. */
export const offset = (rules: Rules): Rules =>
  Object.fromEntries(
    Object.entries(rules).map(([key, rule]) => {
      if (typeof rule !== "string") return [key, rule];
      return [key, /norm$/.test(key) ? { name: rule, added: 1 } : rule];
    }),
  );

export const attentionBias = ({ has }: Facts) => ({ attention_bias: has("blk.0.attn_q.bias") });
