import { InputError } from "../../errors.js";
import { quote } from "../json.js";
import type { Metadata } from "./metadata.js";

/** What a file's tensors say about rotation: factors by which frequencies are divided. */
export interface RotaryFactors {
  /** rope_freqs: LLaMA 3's. */
  readonly all?: Float32Array | undefined;
  /** rope_factors_short and rope_factors_long: Phi's. */
  readonly short?: Float32Array | undefined;
  readonly long?: Float32Array | undefined;
}

interface Scaling {
  /** config.json's rope_scaling. */
  readonly parameters: Readonly<Record<string, unknown>>;
  /** The context before it was extended, which some configs want beside it. */
  readonly original?: number;
}

/**
 * How the metadata (rope.scaling.*) and the factors in tensors change the frequencies, as config.json says it; undefined where
 * they do not. Throws InputError for a kind or a key that has no equal there: nothing is silently left out.
 */
export function rotaryScaling(
  metadata: Metadata,
  { theta, rotated }: { readonly theta: number; readonly rotated: number },
  factors: RotaryFactors,
  path: string,
): Scaling | undefined {
  const oldLinear = metadata.optionalNumber("rope.scale_linear");
  const kind = metadata.optionalText("rope.scaling.type") ?? (oldLinear === undefined ? "none" : "linear");
  const factor = metadata.optionalNumber("rope.scaling.factor") ?? oldLinear;
  const original = metadata.optionalNumber("rope.scaling.original_context_length");
  const amplitude = metadata.optionalNumber("rope.scaling.attn_factor");
  for (const key of ["yarn_ext_factor", "yarn_attn_factor", "yarn_log_multiplier"]) {
    const value = metadata.optionalNumber(`rope.scaling.${key}`);
    if (value === undefined || value === (key === "yarn_log_multiplier" ? 0 : 1)) continue;
    throw new InputError(`${path}: metadata "rope.scaling.${key}" is ${value}, which is not supported`);
  }
  checkLengths(factors, rotated, path);

  if (factors.short || factors.long) return longrope(metadata, factors, original, amplitude, path);
  if (kind === "longrope")
    throw new InputError(`${path}: scales rope by factors that it does not hold; convert it again`);
  if (amplitude !== undefined && amplitude !== 1) {
    throw new InputError(`${path}: metadata "rope.scaling.attn_factor" is ${amplitude}, which is not supported`);
  }
  if (factors.all && !factors.all.every((value) => value === 1)) {
    if (kind === "none" || factor === undefined || factor === 1) return llama3(metadata, factors.all, theta);
    throw new InputError(
      `${path}: scales rope both by ${quote(kind)} and by the tensor rope_freqs, which is not supported`,
    );
  }
  switch (kind) {
    case "none":
      return undefined;
    case "linear":
      return factor === undefined || factor === 1 ? undefined : { parameters: { rope_type: "linear", factor } };
    case "yarn": {
      const fast = metadata.optionalNumber("rope.scaling.yarn_beta_fast");
      const slow = metadata.optionalNumber("rope.scaling.yarn_beta_slow");
      if (factor === undefined || original === undefined) {
        throw new InputError(`${path}: scales rope by yarn without a factor and an original context; convert it again`);
      }
      return {
        parameters: {
          rope_type: "yarn",
          factor,
          original_max_position_embeddings: original,
          ...(fast === undefined ? {} : { beta_fast: fast }),
          ...(slow === undefined ? {} : { beta_slow: slow }),
        },
      };
    }
    default:
      throw new InputError(`${path}: rope scaling ${quote(kind)} is not supported (supported: linear, yarn, longrope)`);
  }
}

function checkLengths(factors: RotaryFactors, rotated: number, path: string): void {
  for (const values of [factors.all, factors.short, factors.long]) {
    if (values && values.length !== rotated / 2) {
      throw new InputError(
        `${path}: has ${values.length} rope factors for ${rotated / 2} frequencies; convert it again`,
      );
    }
  }
}

function longrope(
  metadata: Metadata,
  { short, long }: RotaryFactors,
  original: number | undefined,
  amplitude: number | undefined,
  path: string,
): Scaling {
  if (!short || !long || original === undefined) {
    throw new InputError(`${path}: has not all of longrope's factors and its original context; convert it again`);
  }
  const whole = metadata.number("context_length");
  return {
    parameters: {
      rope_type: "longrope",
      short_factor: Array.from(short, shortNumber),
      long_factor: Array.from(long, shortNumber),
      factor: whole / original,
      original_max_position_embeddings: original,
      ...(amplitude === undefined ? {} : { attention_factor: amplitude }),
    },
    original,
  };
}

/** What LLaMA 3.1 and all after it were made with. */
const LLAMA3 = { low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };

/** The parameters that give these factors; factors that they do not give stay as they are, one by one. */
function llama3(metadata: Metadata, given: Float32Array, theta: number): Scaling {
  const factor = shortNumber(given.reduce((most, value) => Math.max(most, value), 0));
  const expected = llama3Factors({ ...LLAMA3, factor, theta }, given.length);
  if (given.every((value, i) => Math.abs(value - expected[i]!) <= 1e-4 * value)) {
    return { parameters: { rope_type: "llama3", factor, ...LLAMA3 } };
  }
  const context = metadata.number("context_length");
  const each = Array.from(given, shortNumber);
  return {
    parameters: {
      rope_type: "longrope",
      short_factor: each,
      long_factor: each,
      factor: 1,
      attention_factor: 1,
      original_max_position_embeddings: context,
    },
  };
}

interface Llama3 {
  readonly factor: number;
  readonly low_freq_factor: number;
  readonly high_freq_factor: number;
  readonly original_max_position_embeddings: number;
  readonly theta: number;
}

/** By what LLaMA 3's scaling divides each frequency. Follows transformers' modeling_rope_utils. */
export function llama3Factors(p: Llama3, count: number): number[] {
  return Array.from({ length: count }, (_, i) => {
    const turns = p.original_max_position_embeddings / (2 * Math.PI * p.theta ** (i / count)); // within the original context
    if (turns < p.low_freq_factor) return p.factor;
    if (turns > p.high_freq_factor) return 1;
    const share = (turns - p.low_freq_factor) / (p.high_freq_factor - p.low_freq_factor);
    return 1 / ((1 - share) / p.factor + share);
  });
}

/** A float32 in as few digits as tell it from all others. */
function shortNumber(value: number): number {
  return Number(value.toPrecision(8));
}
