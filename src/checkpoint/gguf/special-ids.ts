import { InputError } from "../../errors.js";
import type { GgufValue } from "./header.js";

/** A token id of the metadata, `tokenizer.ggml.bos_token_id` say; undefined where there is none. Throws InputError. */
export function tokenId(metadata: ReadonlyMap<string, GgufValue>, name: string, path: string): number | undefined {
  const key = `tokenizer.ggml.${name}_token_id`;
  const value = metadata.get(key);
  if (value === undefined || value === 0xffffffff) return undefined; // all bits set: none
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new InputError(`${path}: metadata "${key}" is no token id; convert the model again`);
}

/** The special tokens as config.json has them: several end a text where the metadata name an end of turn too. */
export function specialIds(metadata: ReadonlyMap<string, GgufValue>, path: string): Record<string, number | number[]> {
  const ids: Record<string, number | number[]> = {};
  for (const [name, key] of [
    ["bos", "bos_token_id"],
    ["padding", "pad_token_id"],
  ] as const) {
    const id = tokenId(metadata, name, path);
    if (id !== undefined) ids[key] = id;
  }
  const ends = ["eos", "eot", "eom"].map((name) => tokenId(metadata, name, path)).filter((id) => id !== undefined);
  const [first, ...others] = new Set(ends);
  if (first !== undefined) ids["eos_token_id"] = others.length > 0 ? [first, ...others] : first;
  return ids;
}
