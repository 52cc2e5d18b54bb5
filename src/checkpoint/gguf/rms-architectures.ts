import {
  ATTENTION,
  attentionBias,
  type Facts,
  GATED,
  type GgufArchitecture,
  HEAD_NORMS,
  MODEL,
  NORMS_AROUND,
  offset,
  PARTIAL_ROPE,
  RMS,
  ROPE,
  ROTATED,
} from "./architecture.js";

const llama: GgufArchitecture = {
  name: "llama",
  modelType: "llama",
  className: "LlamaForCausalLM",
  keys: RMS,
  derived: (facts) => ({ ...attentionBias(facts), mlp_bias: facts.has("blk.0.ffn_up.bias"), hidden_act: "silu" }),
  rope: ROPE,
  headDim: true,
  tensors: { ...MODEL, ...ROTATED, ...GATED },
  layers: "model.layers",
};

const gemma: GgufArchitecture = {
  name: "gemma",
  modelType: "gemma",
  className: "GemmaForCausalLM",
  keys: RMS,
  fixed: { hidden_act: "gelu_pytorch_tanh", hidden_activation: "gelu_pytorch_tanh" },
  rope: ROPE,
  headDim: true,
  tensors: offset({ ...MODEL, ...ATTENTION, ...GATED }),
  layers: "model.layers",
  half: "BF16",
};

/** As llama.cpp has it: the 27B models, known by their layers, divide scores by the square root of hidden size over heads. */
const scalarOfScores = ({ metadata }: Facts, layersOf27B: number, headSize: number) => {
  const is27B = metadata.number("block_count") === layersOf27B;
  const shared = Math.floor(metadata.number("embedding_length") / metadata.number("attention.head_count"));
  return { query_pre_attn_scalar: is27B ? shared : headSize };
};

const headSizeOf = ({ metadata }: Facts) =>
  metadata.optionalNumber("attention.key_length") ??
  metadata.number("embedding_length") / metadata.number("attention.head_count");

const gemma2: GgufArchitecture = {
  ...gemma,
  name: "gemma2",
  modelType: "gemma2",
  className: "Gemma2ForCausalLM",
  extra: [
    ["attention.sliding_window", "sliding_window"],
    ["attn_logit_softcapping", "attn_logit_softcapping"],
    ["final_logit_softcapping", "final_logit_softcapping"],
  ],
  derived: (facts) => ({
    sliding_window: facts.metadata.optionalNumber("attention.sliding_window") ?? 4096,
    attn_logit_softcapping: facts.metadata.optionalNumber("attn_logit_softcapping") ?? 50,
    final_logit_softcapping: facts.metadata.optionalNumber("final_logit_softcapping") ?? 30,
    ...scalarOfScores(facts, 46, headSizeOf(facts)),
  }),
  tensors: offset({ ...MODEL, ...ATTENTION, ...GATED, ...NORMS_AROUND }),
};

const gemma3: GgufArchitecture = {
  ...gemma,
  name: "gemma3",
  modelType: "gemma3_text",
  className: "Gemma3ForCausalLM",
  extra: [
    ["attention.sliding_window", "sliding_window"],
    ["final_logit_softcapping", "final_logit_softcapping"],
    ["rope.freq_base_swa", "rope_local_base_freq"],
  ],
  derived(facts) {
    const { metadata } = facts;
    const layers = metadata.number("block_count");
    const window = metadata.optionalNumber("attention.sliding_window") ?? 0;
    const slides = (layer: number) => window > 0 && (layer + 1) % 6 !== 0;
    return {
      sliding_window: window > 0 ? window : 4096,
      layer_types: Array.from({ length: layers }, (_, i) => (slides(i) ? "sliding_attention" : "full_attention")),
      rope_local_base_freq: metadata.optionalNumber("rope.freq_base_swa") ?? 10_000,
      attn_logit_softcapping: null,
      final_logit_softcapping: metadata.optionalNumber("final_logit_softcapping") ?? null,
      ...scalarOfScores(facts, 62, headSizeOf(facts)),
    };
  },
  tensors: offset({ ...MODEL, ...ATTENTION, ...GATED, ...NORMS_AROUND, ...HEAD_NORMS }),
};

/** Those whose norms are root mean squares: LLaMA and its relatives. */
export const rmsArchitectures: readonly GgufArchitecture[] = [
  llama,
  {
    ...llama,
    experts: true,
    modelType: "mixtral",
    className: "MixtralForCausalLM",
    keys: [...RMS, ["expert_count", "num_local_experts"], ["expert_used_count", "num_experts_per_tok"]],
    derived: () => ({ hidden_act: "silu", sliding_window: null }),
    tensors: {
      ...MODEL,
      ...ROTATED,
      ffn_norm: "post_attention_layernorm",
      ffn_gate_inp: "block_sparse_moe.gate",
      ffn_gate_exps: "block_sparse_moe.experts.*.w1",
      ffn_down_exps: "block_sparse_moe.experts.*.w2",
      ffn_up_exps: "block_sparse_moe.experts.*.w3",
    },
  },
  {
    ...llama,
    name: "qwen2",
    modelType: "qwen2",
    className: "Qwen2ForCausalLM",
    derived: () => ({ hidden_act: "silu", use_sliding_window: false }),
    headDim: false,
    tensors: { ...MODEL, ...ATTENTION, ...GATED },
  },
  {
    ...llama,
    name: "qwen3",
    modelType: "qwen3",
    className: "Qwen3ForCausalLM",
    derived: (facts) => ({ ...attentionBias(facts), hidden_act: "silu", use_sliding_window: false }),
    tensors: { ...MODEL, ...ATTENTION, ...HEAD_NORMS, ...GATED },
  },
  {
    ...llama,
    name: "qwen3moe",
    modelType: "qwen3_moe",
    className: "Qwen3MoeForCausalLM",
    experts: true,
    keys: [
      ...RMS,
      ["expert_count", "num_experts"],
      ["expert_used_count", "num_experts_per_tok"],
      ["expert_feed_forward_length", "moe_intermediate_size"],
    ],
    fixed: { norm_topk_prob: true, decoder_sparse_step: 1, mlp_only_layers: [] },
    derived: (facts) => ({ ...attentionBias(facts), hidden_act: "silu", use_sliding_window: false }),
    tensors: {
      ...MODEL,
      ...ATTENTION,
      ...HEAD_NORMS,
      ffn_norm: "post_attention_layernorm",
      ffn_gate_inp: "mlp.gate",
      ffn_gate_exps: "mlp.experts.*.gate_proj",
      ffn_down_exps: "mlp.experts.*.down_proj",
      ffn_up_exps: "mlp.experts.*.up_proj",
    },
  },
  gemma,
  gemma2,
  gemma3,
  {
    name: "phi3",
    modelType: "phi3",
    className: "Phi3ForCausalLM",
    keys: RMS,
    fixed: { hidden_act: "silu" },
    extra: [["attention.sliding_window", "sliding_window"]],
    derived: ({ metadata }) => ({ sliding_window: metadata.optionalNumber("attention.sliding_window") || null }),
    rope: PARTIAL_ROPE,
    tensors: {
      ...MODEL,
      attn_norm: "input_layernorm",
      attn_qkv: "self_attn.qkv_proj",
      attn_output: "self_attn.o_proj",
      ffn_norm: "post_attention_layernorm",
      ffn_up: "mlp.gate_up_proj",
      ffn_down: "mlp.down_proj",
    },
    layers: "model.layers",
  },
  {
    ...llama,
    name: "olmo2",
    modelType: "olmo2",
    className: "Olmo2ForCausalLM",
    headDim: false,
    tensors: {
      ...MODEL,
      ...ATTENTION,
      ...HEAD_NORMS,
      post_attention_norm: "post_attention_layernorm",
      post_ffw_norm: "post_feedforward_layernorm",
      ffn_gate: "mlp.gate_proj",
      ffn_up: "mlp.up_proj",
      ffn_down: "mlp.down_proj",
    },
  },
  {
    ...llama,
    name: "granite",
    modelType: "granite",
    className: "GraniteForCausalLM",
    headDim: false,
    extra: [
      ["attention.scale", "attention_multiplier"],
      ["embedding_scale", "embedding_multiplier"],
      ["residual_scale", "residual_multiplier"],
      ["logit_scale", "logits_scaling"],
    ],
    derived: (facts) => {
      const { metadata } = facts;
      return {
        ...attentionBias(facts),
        mlp_bias: facts.has("blk.0.ffn_up.bias"),
        hidden_act: "silu",
        attention_multiplier: metadata.optionalNumber("attention.scale") ?? 1 / Math.sqrt(headSizeOf(facts)),
        embedding_multiplier: metadata.optionalNumber("embedding_scale") ?? 1,
        residual_multiplier: metadata.optionalNumber("residual_scale") ?? 1,
        logits_scaling: metadata.optionalNumber("logit_scale") ?? 1,
      };
    },
  },
  {
    ...llama,
    name: "smollm3",
    modelType: "smollm3",
    className: "SmolLM3ForCausalLM",
    headDim: false,
    derived: (facts) => ({
      ...attentionBias(facts),
      hidden_act: "silu",
      use_sliding_window: false,
      no_rope_layer_interval: 4, // llama.cpp has it built in
    }),
  },
  {
    name: "glm4",
    modelType: "glm4",
    className: "Glm4ForCausalLM",
    keys: RMS,
    fixed: { hidden_act: "silu" },
    derived: attentionBias,
    rope: PARTIAL_ROPE,
    headDim: true,
    tensors: {
      ...MODEL,
      ...ATTENTION,
      post_attention_norm: "post_self_attn_layernorm",
      ffn_norm: "post_attention_layernorm",
      post_ffw_norm: "post_mlp_layernorm",
      ffn_up: "mlp.gate_up_proj",
      ffn_down: "mlp.down_proj",
    },
    layers: "model.layers",
  },
];
