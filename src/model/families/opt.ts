import { z } from "zod";
import type { Builder } from "../../engine/operations.js";
import { InputError } from "../../errors.js";
import { count, readConfig, sizesConfig } from "../config.js";
import type { Family } from "../family.js";
import {
  type Activation,
  type Attention,
  type AttentionNames,
  activate,
  attentionShape,
  type DecoderNames,
  decoder,
  type FeedForward,
  feedForward,
  findActivation,
  SELF_ATTENTION,
  selfAttention,
} from "../parts.js";

const optConfig = z.object({
  ...sizesConfig,
  ffn_dim: count,
  max_position_embeddings: count.default(2048),
  activation_function: z.string().default("relu"),
  do_layer_norm_before: z.literal(true, "norms after the sums (opt-350m) are not supported").default(true),
  _remove_final_layer_norm: z.literal(false, "a model without its final norm is not supported").default(false),
  layer_norm_elementwise_affine: z.literal(true, "norms without weights are not supported").default(true),
  word_embed_proj_dim: count.nullish(),
  enable_bias: z.boolean().default(true),
  tie_word_embeddings: z.boolean().default(true),
});

interface OptBlock {
  readonly attention: Attention;
  readonly feedForward: FeedForward;
  readonly activation: Activation;
}

const EPSILON = 1e-5; // PyTorch's for layer norms; the config has none
const OFFSET = 2; // rows of the position table before the first position's
const ATTENTION: AttentionNames = { ...SELF_ATTENTION, out: "self_attn.out_proj" };
const NAMES: DecoderNames = {
  layers: "model.decoder.layers",
  embedding: "model.decoder.embed_tokens",
  norm: "model.decoder.final_layer_norm",
  head: "lm_head",
};

/** OPT (Zhang et al. 2022, arXiv 2205.01068): learned positions, layer norms, ReLU. */
export const opt: Family = {
  name: "opt",
  modelTypes: ["opt"],
  models: "OPT (not 350M)",
  architecture(config, where) {
    const c = readConfig(optConfig, config, where);
    const hidden = c.hidden_size;
    if (c.word_embed_proj_dim && c.word_embed_proj_dim !== hidden) {
      throw new InputError(
        `${where}: word_embed_proj_dim: embeddings of another size (${c.word_embed_proj_dim}) than hidden_size are not supported`,
      );
    }
    const positions = {
      name: "model.decoder.embed_positions",
      rows: c.max_position_embeddings + OFFSET,
      size: hidden,
      offset: OFFSET,
    };
    const bias = { qkv: c.enable_bias, out: c.enable_bias };
    const kind: OptBlock = {
      attention: { hidden, shape: attentionShape(c, where), bias },
      feedForward: { hidden, intermediate: c.ffn_dim, bias: c.enable_bias },
      activation: findActivation(c.activation_function, where),
    };
    return decoder<OptBlock>({
      family: "opt",
      config: c,
      maxTokens: c.max_position_embeddings,
      names: NAMES,
      kindOf: () => kind,
      block: optBlock,
      headKey: EPSILON,
      finalNorm: (g, x, norm) => g.layerNorm(x, { ...norm, bias: true }, EPSILON),
      opening: { key: JSON.stringify(positions), build: (g, x) => g.add(x, g.positions(positions)) },
    });
  },
};

function optBlock<V>(g: Builder<V>, x: V, b: OptBlock): V {
  const norm = (from: V, name: string) => g.layerNorm(from, { name, size: b.attention.hidden, bias: true }, EPSILON);
  const y = g.add(x, selfAttention(g, norm(x, "self_attn_layer_norm"), b.attention, ATTENTION));
  const names = { up: "fc1", down: "fc2" };
  return g.add(y, feedForward(g, norm(y, "final_layer_norm"), b.feedForward, activate(g, b.activation), names));
}
