import { join } from "node:path";
import { z } from "zod";
import { readModelJson } from "../checkpoint/model-file.js";
import { InputError } from "../errors.js";
import type { Model } from "../model/model.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";

const GENERATION_CONFIG = "generation_config.json";
const MAX_CONFIG_BYTES = 10_000_000;

const ids = z.union([z.int(), z.array(z.int())]).nullish();
const schema = z.looseObject({ eos_token_id: ids });

/** Every token that ends a text: eos_token_id of generation_config.json and of config.json, and the tokenizer's. */
export async function endTokens({ checkpoint }: Model, tokenizer: Tokenizer | undefined): Promise<Set<number>> {
  const ends = new Set<number>(tokenizer?.eosId === undefined ? [] : [tokenizer.eosId]);
  const configs: [string, unknown][] = [
    [checkpoint.configFile, checkpoint.config],
    [
      join(checkpoint.path, GENERATION_CONFIG),
      await readModelJson(checkpoint.path, GENERATION_CONFIG, MAX_CONFIG_BYTES),
    ],
  ];
  for (const [file, config] of configs) {
    const read = schema.safeParse(config ?? {});
    if (!read.success) throw new InputError(`${file}: eos_token_id is neither a token id nor a list of them`);
    for (const id of [read.data.eos_token_id ?? []].flat()) ends.add(id);
  }
  return ends;
}
