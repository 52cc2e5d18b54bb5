import { z } from "zod";
import type { Rotation } from "../engine/operations.js";
import { InputError } from "../errors.js";
import { readConfig } from "./config.js";

/**
 * The rotary part of config.json. transformers 5 writes `rope_parameters`, transformers 4 wrote `rope_theta`
 * beside `rope_scaling`, whose kind is called `rope_type` or, before that, `type`.
 */
export const ropeConfig = {
  rope_theta: z.number().positive().nullish(),
  rope_scaling: z.looseObject({}).nullish(),
  rope_parameters: z.looseObject({}).nullish(),
  partial_rotary_factor: z.number().positive().max(1).nullish(),
  original_max_position_embeddings: z.number().int().positive().nullish(),
  max_position_embeddings: z.number().int().positive().default(2048),
};

type RopeConfig = z.infer<z.ZodObject<typeof ropeConfig>>;

/** What a family's models have where their config does not say it. */
export interface RopeDefaults {
  readonly theta?: number;
  /** Share of a head's dimensions that is rotated; a family without this rotates all of them. */
  readonly share?: number;
}

/** How a model rotates, and the longest window that this holds for. */
export interface RopeOfModel {
  readonly rotation: Rotation;
  readonly maxTokens: number;
}

const THETA = 10_000;

const scaling = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: z.number().positive().nullish(),
  partial_rotary_factor: z.number().positive().max(1).nullish(),
});

const positive = z.number().positive();
const factors = z.array(positive);

const linearScaling = z.looseObject({ factor: positive });

const llama3Scaling = z.looseObject({
  factor: positive,
  low_freq_factor: positive,
  high_freq_factor: positive,
  original_max_position_embeddings: positive,
});

const yarnScaling = z.looseObject({
  factor: positive,
  attention_factor: positive.nullish(),
  mscale: z.number().nonnegative().nullish(),
  mscale_all_dim: z.number().nonnegative().nullish(),
  beta_fast: positive.nullish(),
  beta_slow: positive.nullish(),
  truncate: z.boolean().default(true),
  original_max_position_embeddings: positive.nullish(),
});

const longScaling = z.looseObject({
  factor: positive.nullish(),
  attention_factor: positive.nullish(),
  short_factor: factors,
  long_factor: factors,
  original_max_position_embeddings: positive.nullish(),
});

/**
 * Radians per position for each rotated pair of a head's dimensions: theta^(-2i / rotated dimensions), then scaled as the
 * config says. The kinds and their formulas are those of transformers' modeling_rope_utils: `linear` (positions divided by
 * the factor), `llama3` (only the slow ones), `yarn` (Peng et al. 2023, arXiv 2309.00071), `dynamic` and `longrope`, whose
 * frequencies change with windows longer than the model was first made for, which pare does not run.
 * Throws InputError for other kinds.
 */
export function readRope(
  config: RopeConfig,
  headSize: number,
  where: string,
  { theta: usual = THETA, share: usualShare }: RopeDefaults = {},
): RopeOfModel {
  const key = config.rope_parameters ? "rope_parameters" : "rope_scaling";
  const raw = config.rope_parameters ?? config.rope_scaling ?? {};
  const at = `${where}: ${key}`;
  const parameters = readConfig(scaling, raw, at);
  const theta = parameters.rope_theta ?? config.rope_theta ?? usual;
  const share = parameters.partial_rotary_factor ?? config.partial_rotary_factor ?? usualShare ?? 1;
  if (share !== 1 && usualShare === undefined) {
    throw new InputError(`${where}: partial_rotary_factor ${share}: this family rotates whole heads`);
  }
  const size = Math.floor(headSize * share);
  if (size % 2 !== 0 || size === 0) {
    throw new InputError(
      `${where}: rotary embedding needs an even ${share === 1 ? "head_dim" : "part of head_dim"}, not ${size}`,
    );
  }
  const maxTokens = config.max_position_embeddings;
  // In float32, as every implementation has it: at position 1,000 a float64 table differs from it in the fifth digit.
  const plain = Array.from({ length: size / 2 }, (_, i) => Math.fround(1 / Math.fround(theta ** ((2 * i) / size))));
  const first = (own: number | null | undefined) => config.original_max_position_embeddings ?? own ?? maxTokens;
  const kind = parameters.rope_type ?? parameters.type ?? "default";
  switch (kind) {
    case "default":
    case "dynamic":
      return { rotation: { frequencies: plain }, maxTokens };
    case "linear": {
      const { factor } = readConfig(linearScaling, raw, at);
      return { rotation: { frequencies: plain.map((frequency) => Math.fround(frequency / factor)) }, maxTokens };
    }
    case "llama3": {
      const { factor, ...s } = readConfig(llama3Scaling, raw, at);
      const frequencies = plain.map((frequency) => {
        const turns = (s.original_max_position_embeddings * frequency) / (2 * Math.PI); // within the original context
        if (turns < s.low_freq_factor) return Math.fround(frequency / factor);
        if (turns > s.high_freq_factor) return frequency;
        const share = (turns - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
        return Math.fround(((1 - share) * frequency) / factor + share * frequency);
      });
      return { rotation: { frequencies }, maxTokens };
    }
    case "yarn": {
      const s = readConfig(yarnScaling, raw, at);
      return { rotation: yarn(plain, theta, s, first(s.original_max_position_embeddings)), maxTokens };
    }
    case "longrope":
    case "su": {
      const s = readConfig(longScaling, raw, at);
      if (s.short_factor.length !== plain.length) {
        throw new InputError(`${at}: short_factor has ${s.short_factor.length} numbers instead of ${plain.length}`);
      }
      const original = first(s.original_max_position_embeddings);
      const factor = s.factor ?? maxTokens / original;
      const amplitude = s.attention_factor ?? (factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original)));
      const frequencies = plain.map((frequency, i) => Math.fround(frequency / s.short_factor[i]!));
      return { rotation: { frequencies, amplitude }, maxTokens: Math.min(maxTokens, original) };
    }
    default:
      throw new InputError(
        `${at}: rope type "${kind}" is not supported (supported: default, linear, dynamic, llama3, yarn, longrope)`,
      );
  }
}

/** Slow rotations are interpolated, fast ones stay, and those between are mixed. */
function yarn(plain: readonly number[], theta: number, s: z.infer<typeof yarnScaling>, original: number): Rotation {
  const dimensions = 2 * plain.length;
  /** The dimension that turns so many times within the original context. */
  const turning = (turns: number) => (dimensions * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const ends = [turning(s.beta_fast ?? 32), turning(s.beta_slow ?? 1)] as const;
  const low = Math.max(s.truncate ? Math.floor(ends[0]) : ends[0], 0);
  const high = Math.min(s.truncate ? Math.ceil(ends[1]) : ends[1], dimensions - 1);
  const width = high === low ? 0.001 : high - low;
  const frequencies = plain.map((frequency, i) => {
    const slow = Math.min(1, Math.max(0, (i - low) / width));
    return Math.fround(slow * (frequency / s.factor) + (1 - slow) * frequency);
  });
  const grown = (by = 1) => (s.factor <= 1 ? 1 : 0.1 * by * Math.log(s.factor) + 1);
  const usual = s.mscale && s.mscale_all_dim ? grown(s.mscale) / grown(s.mscale_all_dim) : grown();
  return { frequencies, amplitude: s.attention_factor ?? usual };
}
