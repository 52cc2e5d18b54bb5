import { z } from "zod";
import type { Builder, Routing } from "../../engine/operations.js";
import { count, readConfig } from "../config.js";
import type { Family } from "../family.js";
import { decoder, GATED, gatedFeedForward, mixture } from "../parts.js";
import type { LlamaBlock } from "./llama.js";
import { qwen3Attended, qwen3Attention, qwen3Sizes } from "./qwen3.js";

const qwen3MoeConfig = z.object({
  ...qwen3Sizes,
  num_key_value_heads: count.nullable().default(4),
  head_dim: count.nullable().default(null),
  moe_intermediate_size: count.default(768),
  num_experts: count.default(128),
  num_experts_per_tok: count.default(8),
  norm_topk_prob: z.boolean().default(false),
  /** Layers of this number, counted from 1, have a mixture, but for those of mlp_only_layers. */
  decoder_sparse_step: count.default(1),
  mlp_only_layers: z.array(z.number().int()).nullish(),
});

interface Qwen3MoeBlock extends LlamaBlock {
  /** None in a layer whose feed-forward network is a single one. */
  readonly routing?: Routing;
}

/** Qwen 3's mixtures (Yang et al. 2025, arXiv 2505.09388): Qwen 3's block with a mixture of feed-forward networks. */
export const qwen3Moe: Family = {
  name: "qwen3_moe",
  modelTypes: ["qwen3_moe"],
  models: "Qwen3-30B-A3B, Qwen3-235B-A22B, Qwen3-Coder",
  architecture(config, where) {
    const c = readConfig(qwen3MoeConfig, config, where);
    const { attentionOf, maxTokens } = qwen3Attention(c, where);
    const hidden = c.hidden_size;
    const routing: Routing = {
      experts: c.num_experts,
      chosen: c.num_experts_per_tok,
      normalised: c.norm_topk_prob,
    };
    return decoder<Qwen3MoeBlock>({
      family: "qwen3_moe",
      config: c,
      maxTokens,
      kindOf(layer) {
        const block = { attention: attentionOf(layer), epsilon: c.rms_norm_eps };
        const mixed = !c.mlp_only_layers?.includes(layer) && (layer + 1) % c.decoder_sparse_step === 0;
        return mixed
          ? { ...block, routing, feedForward: { hidden, intermediate: c.moe_intermediate_size, bias: false } }
          : { ...block, feedForward: { hidden, intermediate: c.intermediate_size, bias: false } };
      },
      block: qwen3MoeBlock,
      headKey: c.rms_norm_eps,
      finalNorm: (g, x, norm) => g.rmsNorm(x, norm, c.rms_norm_eps),
    });
  },
};

const NAMES = { router: "mlp.gate", experts: "mlp.experts", gate: "gate_proj", up: "up_proj", down: "down_proj" };

function qwen3MoeBlock<V>(g: Builder<V>, x: V, { attention, feedForward, routing, epsilon }: Qwen3MoeBlock): V {
  const y = qwen3Attended(g, x, attention, epsilon);
  const n = g.rmsNorm(y, { name: "post_attention_layernorm", size: attention.hidden }, epsilon);
  const fed = routing ? mixture(g, n, feedForward, routing, NAMES) : gatedFeedForward(g, n, feedForward, g.silu, GATED);
  return g.add(y, fed);
}
