import { z } from "zod";
import type { Builder, Routing } from "../../engine/operations.js";
import { count, epsilon, readConfig, respelt } from "../config.js";
import type { Family } from "../family.js";
import { attentionShape, decoder, mixture, selfAttention } from "../parts.js";
import { readRope } from "../rope.js";
import { type LlamaBlock, llamaSizes } from "./llama.js";

const mixtralConfig = z.object({
  ...llamaSizes,
  num_key_value_heads: count.nullable().default(8),
  rms_norm_eps: epsilon.default(1e-5),
  max_position_embeddings: count.default(131_072),
  sliding_window: count.nullish(),
  num_local_experts: count.default(8),
  num_experts_per_tok: count.default(2),
});

interface MixtralBlock extends LlamaBlock {
  readonly routing: Routing;
}

/** Mixtral (Jiang et al. 2024, arXiv 2401.04088): Mistral's block with a mixture of feed-forward networks. */
export const mixtral: Family = {
  name: "mixtral",
  modelTypes: ["mixtral"],
  models: "Mixtral 8x7B, 8x22B",
  architecture(config, where) {
    const c = readConfig(mixtralConfig, respelt(config, [["num_experts", "num_local_experts"]]), where);
    const plain = attentionShape(c, where);
    const shape = c.sliding_window ? { ...plain, window: c.sliding_window } : plain;
    const { rotation, maxTokens } = readRope(c, shape.headSize, where, { theta: 1_000_000 });
    const kind: MixtralBlock = {
      attention: { hidden: c.hidden_size, shape, rotation, bias: { qkv: false, out: false } },
      feedForward: { hidden: c.hidden_size, intermediate: c.intermediate_size, bias: false },
      routing: { experts: c.num_local_experts, chosen: c.num_experts_per_tok, normalised: true },
      epsilon: c.rms_norm_eps,
    };
    return decoder<MixtralBlock>({
      family: "mixtral",
      config: c,
      maxTokens,
      kindOf: () => kind,
      block: mixtralBlock,
      headKey: c.rms_norm_eps,
      finalNorm: (g, x, norm) => g.rmsNorm(x, norm, c.rms_norm_eps),
    });
  },
};

const NAMES = {
  router: "block_sparse_moe.gate",
  experts: "block_sparse_moe.experts",
  gate: "w1",
  up: "w3",
  down: "w2",
};

function mixtralBlock<V>(g: Builder<V>, x: V, { attention, feedForward, routing, epsilon }: MixtralBlock): V {
  const norm = (from: V, name: string) => g.rmsNorm(from, { name, size: attention.hidden }, epsilon);
  const y = g.add(x, selfAttention(g, norm(x, "input_layernorm"), attention));
  return g.add(y, mixture(g, norm(y, "post_attention_layernorm"), feedForward, routing, NAMES));
}
