import { z } from "zod";
import type { Builder } from "../../engine/operations.js";
import { count, readConfig } from "../config.js";
import type { Family } from "../family.js";
import { readRope } from "../rope.js";
import { gemma2Architecture, gemma2Block, gemma2Sizes } from "./gemma2.js";
import type { LlamaBlock } from "./llama.js";

const gemma3Config = z.object({
  ...gemma2Sizes,
  attn_logit_softcapping: gemma2Sizes.attn_logit_softcapping.default(null),
  final_logit_softcapping: gemma2Sizes.final_logit_softcapping.default(null),
  max_position_embeddings: count.default(131_072),
  /** Every layer of this number, counted from 1, sees all tokens. */
  sliding_window_pattern: count.nullish(),
  _sliding_window_pattern: count.nullish(),
  rope_local_base_freq: z.number().positive().nullish(),
});

const GLOBAL_THETA = 1_000_000;
const LOCAL_THETA = 10_000;

/** transformers 5 gives the rotations of the two kinds of layers each by its name. */
const rotations = z.object({ full_attention: z.looseObject({}), sliding_attention: z.looseObject({}) });

/** Gemma 3's text models (Gemma Team 2025, arXiv 2503.19786): Gemma 2 with norms of q and k, and other rotations where windows slide. */
export const gemma3: Family = {
  name: "gemma3",
  modelTypes: ["gemma3_text"],
  models: "Gemma 3 (text: 270M and 1B)",
  architecture(config, where) {
    const c = readConfig(gemma3Config, config, where);
    const { full, sliding } = readRotations(c, where);
    const pattern = c.sliding_window_pattern ?? c._sliding_window_pattern ?? 6;
    return gemma2Architecture(
      "gemma3",
      c,
      c.max_position_embeddings,
      (layer) => {
        const slides = c.layer_types ? c.layer_types[layer] === "sliding_attention" : (layer + 1) % pattern !== 0;
        return { sliding: slides, rotation: slides ? sliding : full };
      },
      gemma3Block,
      where,
    );
  },
};

function readRotations(c: z.infer<typeof gemma3Config>, where: string) {
  const both = rotations.safeParse(c.rope_parameters ?? undefined);
  const plain = { ...c, rope_parameters: undefined };
  const local = both.success
    ? { ...plain, rope_scaling: undefined, rope_parameters: both.data.sliding_attention }
    : { ...plain, rope_scaling: undefined, rope_theta: c.rope_local_base_freq };
  const global = both.success ? { ...plain, rope_parameters: both.data.full_attention } : c;
  return {
    full: readRope(global, c.head_dim, where, { theta: GLOBAL_THETA }).rotation,
    sliding: readRope(local, c.head_dim, where, { theta: LOCAL_THETA }).rotation,
  };
}

function gemma3Block<V>(g: Builder<V>, x: V, kind: LlamaBlock): V {
  const size = kind.attention.shape.headSize;
  return gemma2Block(g, x, kind, (from, which, heads) =>
    g.rmsNorm(from, { name: `self_attn.${which}_norm`, size, heads, offset: 1 }, kind.epsilon),
  );
}
