import { z } from "zod";
import type { Builder } from "../../engine/operations.js";
import { count, epsilon, readConfig } from "../config.js";
import type { Family } from "../family.js";
import { attentionShape, decoder, gatedFeedForward, selfAttention } from "../parts.js";
import { readRope } from "../rope.js";
import { fused } from "../storage.js";
import { type LlamaBlock, llamaSizes } from "./llama.js";

const glm4Config = z.object({
  ...llamaSizes,
  num_key_value_heads: count.default(2),
  head_dim: count.default(128),
  rms_norm_eps: epsilon.default(1.5625e-7),
  attention_bias: z.boolean().default(true),
  max_position_embeddings: count.default(131_072),
});

const GATE_UP = "mlp.gate_up_proj";

/** GLM-4 of 2025 (GLM Team 2024, arXiv 2406.12793): norms before and after, neighbours in half of each head rotated; gate and up in one piece. */
export const glm4: Family = {
  name: "glm4",
  modelTypes: ["glm4"],
  models: "GLM-4-0414 (9B and 32B), GLM-Z1",
  architecture(config, where) {
    const c = readConfig(glm4Config, config, where);
    const shape = attentionShape(c, where);
    const { rotation, maxTokens } = readRope(c, shape.headSize, where, { share: 0.5 });
    const kind: LlamaBlock = {
      attention: {
        hidden: c.hidden_size,
        shape,
        rotation: { ...rotation, interleaved: true },
        bias: { qkv: c.attention_bias, out: false },
      },
      feedForward: { hidden: c.hidden_size, intermediate: c.intermediate_size, bias: false },
      epsilon: c.rms_norm_eps,
    };
    return decoder<LlamaBlock>({
      family: "glm4",
      config: c,
      maxTokens,
      kindOf: () => kind,
      block: glm4Block,
      headKey: c.rms_norm_eps,
      finalNorm: (g, x, norm) => g.rmsNorm(x, norm, c.rms_norm_eps),
      storage: fused(GATE_UP, { gate: c.intermediate_size, up: c.intermediate_size }),
    });
  },
};

function glm4Block<V>(g: Builder<V>, x: V, { attention, feedForward, epsilon }: LlamaBlock): V {
  const norm = (from: V, name: string) => g.rmsNorm(from, { name, size: attention.hidden }, epsilon);
  const attended = selfAttention(g, norm(x, "input_layernorm"), attention);
  const y = g.add(x, norm(attended, "post_self_attn_layernorm"));
  const names = { gate: `${GATE_UP}.gate`, up: `${GATE_UP}.up`, down: "mlp.down_proj" };
  const n = norm(y, "post_attention_layernorm");
  return g.add(y, norm(gatedFeedForward(g, n, feedForward, g.silu, names), "post_mlp_layernorm"));
}
