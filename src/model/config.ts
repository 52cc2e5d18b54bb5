import { z } from "zod";
import { InputError } from "../errors.js";

/** A whole number above zero, small enough that products of two stay exact. */
export const count = z
  .number()
  .int()
  .positive()
  .max(2 ** 31);

/** An epsilon of a norm. */
export const epsilon = z.number().positive();

/** The keys that nearly every family has, in the spelling that most have. */
export const sizesConfig = {
  hidden_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  vocab_size: count,
};

/** Which layers attend within a sliding window, as newer configs list it. */
export const layerTypes = z.array(z.enum(["full_attention", "sliding_attention"])).nullish();

/** A config with its keys' other spellings, `[old, new]`, made the usual ones. */
export function respelt(config: unknown, spellings: readonly (readonly [string, string])[]): unknown {
  if (typeof config !== "object" || config === null) return config;
  const keys = new Map(Object.entries(config));
  for (const [other, usual] of spellings) {
    const value = keys.get(other);
    if (value !== undefined && value !== null && !keys.has(usual)) keys.set(usual, value);
  }
  return Object.fromEntries(keys);
}

/** Checks config.json against what a family reads of it. Throws InputError that names the first wrong key. */
export function readConfig<T>(schema: z.ZodType<T>, config: unknown, where: string): T {
  const result = schema.safeParse(config);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  throw new InputError(`${where}: ${issue.path.join(".") || "the file"}: ${issue.message}`);
}
