import { z } from "zod";
import type { Builder } from "../../engine/operations.js";
import { count, epsilon, readConfig, respelt, sizesConfig } from "../config.js";
import type { Family, Opening } from "../family.js";
import {
  type Attention,
  attentionShape,
  type DecoderNames,
  decoder,
  type FeedForward,
  feedForward,
  fusedNames,
  selfAttention,
} from "../parts.js";
import { fused } from "../storage.js";

const bloomConfig = z.object({
  ...sizesConfig,
  layer_norm_epsilon: epsilon.default(1e-5),
  apply_residual_connection_post_layernorm: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(true),
  seq_length: count.default(2048), // what the models were trained on; biases by distance set no limit
});

const SPELLINGS = [
  ["n_embed", "hidden_size"],
  ["n_layer", "num_hidden_layers"],
  ["n_head", "num_attention_heads"],
] as const;

interface BloomBlock {
  readonly attention: Attention;
  readonly feedForward: FeedForward;
  readonly epsilon: number;
  /** Whether sums go on from the norms' outputs instead of their inputs. */
  readonly fromNorms: boolean;
}

const QKV = "self_attention.query_key_value";
const NAMES: DecoderNames = {
  layers: "transformer.h",
  embedding: "transformer.word_embeddings",
  norm: "transformer.ln_f",
  head: "lm_head",
};

/** BLOOM (BigScience 2022, arXiv 2211.05100): ALiBi, a norm of the embeddings; q, k and v stored head by head. */
export const bloom: Family = {
  name: "bloom",
  modelTypes: ["bloom"],
  models: "BLOOM, BLOOMZ",
  architecture(config, where) {
    const c = readConfig(bloomConfig, respelt(config, SPELLINGS), where);
    const hidden = c.hidden_size;
    const plain = attentionShape(c, where);
    const { heads, headSize: size } = plain;
    const kind: BloomBlock = {
      attention: { hidden, shape: { ...plain, slopes: alibiSlopes(heads) }, bias: { qkv: true, out: true } },
      feedForward: { hidden, intermediate: 4 * hidden, bias: true },
      epsilon: c.layer_norm_epsilon,
      fromNorms: c.apply_residual_connection_post_layernorm,
    };
    const embeddingNorm = { name: "transformer.word_embeddings_layernorm", size: hidden, bias: true };
    const opening: Opening = {
      key: JSON.stringify([embeddingNorm, c.layer_norm_epsilon]),
      build: (g, x) => g.layerNorm(x, embeddingNorm, c.layer_norm_epsilon),
    };
    return decoder<BloomBlock>({
      family: "bloom",
      config: c,
      maxTokens: c.seq_length,
      names: NAMES,
      kindOf: () => kind,
      block: bloomBlock,
      headKey: c.layer_norm_epsilon,
      finalNorm: (g, x, norm) => g.layerNorm(x, { ...norm, bias: true }, c.layer_norm_epsilon),
      opening,
      storage: fused(QKV, { q: size, k: size, v: size }, { groups: heads }),
    });
  },
};

/**
 * What each head's scores lose a token of distance: 2^(-8i / n) for n heads, a power of two; for other numbers the slopes
 * of the next smaller power, and then every other one of the next larger (the code of Press et al. 2022).
 */
export function alibiSlopes(heads: number): number[] {
  const power = 2 ** Math.floor(Math.log2(heads));
  const slopes = (n: number) => Array.from({ length: n }, (_, i) => Math.fround(2 ** ((-8 * (i + 1)) / n)));
  const more = slopes(2 * power).filter((_, i) => i % 2 === 0);
  return [...slopes(power), ...more].slice(0, heads);
}

function bloomBlock<V>(g: Builder<V>, x: V, { attention, feedForward: sizes, epsilon, fromNorms }: BloomBlock): V {
  const norm = (from: V, name: string) => g.layerNorm(from, { name, size: attention.hidden, bias: true }, epsilon);
  const h = norm(x, "input_layernorm");
  const attended = selfAttention(g, h, attention, fusedNames(QKV, "self_attention.dense"));
  const y = g.add(fromNorms ? h : x, attended);
  const n = norm(y, "post_attention_layernorm");
  const names = { up: "mlp.dense_h_to_4h", down: "mlp.dense_4h_to_h" };
  return g.add(fromNorms ? n : y, feedForward(g, n, sizes, g.geluTanh, names));
}
