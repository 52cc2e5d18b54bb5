import { z } from "zod";
import { InputError } from "../errors.js";
import { readConfig } from "./config.js";

/**
 * The rotary part of config.json. transformers 5 writes `rope_parameters`, transformers 4 wrote `rope_theta`
 * beside `rope_scaling`, whose kind is called `rope_type` or, before that, `type`.
 */
export const ropeConfig = {
  rope_theta: z.number().positive().optional(),
  rope_scaling: z.looseObject({}).nullish(),
  rope_parameters: z.looseObject({}).nullish(),
  max_position_embeddings: z.number().int().positive().default(2048),
};

const DEFAULT_THETA = 10_000;

const scaling = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: z.number().positive().optional(),
  partial_rotary_factor: z.literal(1).optional(),
});

const linearScaling = z.looseObject({ factor: z.number().positive() });

const llama3Scaling = z.looseObject({
  factor: z.number().positive(),
  low_freq_factor: z.number().positive(),
  high_freq_factor: z.number().positive(),
  original_max_position_embeddings: z.number().positive(),
});

/**
 * Radians per position for each pair of a head's dimensions, [headSize / 2]: theta^(-2i / headSize), then scaled as the
 * config says: `linear` (positions divided by the factor) or `llama3` (only the slow ones; transformers'
 * `_compute_llama3_parameters`). Throws InputError for other kinds.
 */
export function ropeFrequencies(
  config: z.infer<z.ZodObject<typeof ropeConfig>>,
  headSize: number,
  where: string,
): number[] {
  const key = config.rope_parameters ? "rope_parameters" : "rope_scaling";
  const raw = config.rope_parameters ?? config.rope_scaling ?? {};
  const parameters = readConfig(scaling, raw, `${where}: ${key}`);
  const theta = parameters.rope_theta ?? config.rope_theta ?? DEFAULT_THETA;
  // In float32, as every implementation has it: at position 1,000 a float64 table differs from it in the fifth digit.
  const plain = Array.from({ length: headSize / 2 }, (_, i) =>
    Math.fround(1 / Math.fround(theta ** ((2 * i) / headSize))),
  );
  const kind = parameters.rope_type ?? parameters.type ?? "default";
  switch (kind) {
    case "default":
      return plain;
    case "linear": {
      const { factor } = readConfig(linearScaling, raw, `${where}: ${key}`);
      return plain.map((frequency) => Math.fround(frequency / factor));
    }
    case "llama3": {
      const { factor, ...s } = readConfig(llama3Scaling, raw, `${where}: ${key}`);
      return plain.map((frequency) => {
        const turns = (s.original_max_position_embeddings * frequency) / (2 * Math.PI); // within the original context
        if (turns < s.low_freq_factor) return Math.fround(frequency / factor);
        if (turns > s.high_freq_factor) return frequency;
        const share = (turns - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
        return Math.fround(((1 - share) * frequency) / factor + share * frequency);
      });
    }
    default:
      throw new InputError(
        `${where}: ${key}: rope type "${kind}" is not supported (supported: default, linear, llama3)`,
      );
  }
}
