import { z } from "zod";
import type { Builder } from "../../engine/operations.js";
import { count, epsilon, readConfig } from "../config.js";
import type { Family } from "../family.js";
import { attentionShape, decoder, fusedNames, gatedFeedForward, selfAttention } from "../parts.js";
import { readRope } from "../rope.js";
import { fused } from "../storage.js";
import { type LlamaBlock, llamaSizes } from "./llama.js";

const phi3Config = z.object({
  ...llamaSizes,
  rms_norm_eps: epsilon.default(1e-5),
  max_position_embeddings: count.default(4096),
  sliding_window: count.nullish(),
});

const QKV = "self_attn.qkv_proj";
const GATE_UP = "mlp.gate_up_proj";

/** Phi-3 and Phi-4 (Abdin et al. 2024, arXiv 2404.14219): LLaMA's block, with q, k, v and with gate, up stored in one piece. */
export const phi3: Family = {
  name: "phi3",
  modelTypes: ["phi3"],
  models: "Phi-3, Phi-3.5, Phi-4, Phi-4-mini",
  architecture(config, where) {
    const c = readConfig(phi3Config, config, where);
    const plain = attentionShape(c, where);
    const shape = c.sliding_window ? { ...plain, window: c.sliding_window } : plain;
    const { rotation, maxTokens } = readRope(c, shape.headSize, where, { share: 1 });
    const kind: LlamaBlock = {
      attention: { hidden: c.hidden_size, shape, rotation, bias: { qkv: false, out: false } },
      feedForward: { hidden: c.hidden_size, intermediate: c.intermediate_size, bias: false },
      epsilon: c.rms_norm_eps,
    };
    const [q, kv] = [shape.heads * shape.headSize, shape.keyValueHeads * shape.headSize];
    return decoder<LlamaBlock>({
      family: "phi3",
      config: c,
      maxTokens,
      kindOf: () => kind,
      block: phi3Block,
      headKey: c.rms_norm_eps,
      finalNorm: (g, x, norm) => g.rmsNorm(x, norm, c.rms_norm_eps),
      storage: {
        ...fused(QKV, { q, k: kv, v: kv }),
        ...fused(GATE_UP, { gate: c.intermediate_size, up: c.intermediate_size }),
      },
    });
  },
};

function phi3Block<V>(g: Builder<V>, x: V, { attention, feedForward, epsilon }: LlamaBlock): V {
  const norm = (from: V, name: string) => g.rmsNorm(from, { name, size: attention.hidden }, epsilon);
  const y = g.add(x, selfAttention(g, norm(x, "input_layernorm"), attention, fusedNames(QKV, "self_attn.o_proj")));
  const names = { gate: `${GATE_UP}.gate`, up: `${GATE_UP}.up`, down: "mlp.down_proj" };
  return g.add(y, gatedFeedForward(g, norm(y, "post_attention_layernorm"), feedForward, g.silu, names));
}
