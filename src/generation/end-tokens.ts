import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { InputError } from "../errors.js";
import type { Model } from "../model/model.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";

const ids = z.union([z.int(), z.array(z.int())]).nullish();
const schema = z.looseObject({ eos_token_id: ids });

/** Every token that ends a text: eos_token_id of generation_config.json and of config.json, and the tokenizer's. */
export async function endTokens({ checkpoint }: Model, tokenizer: Tokenizer | undefined): Promise<Set<number>> {
  const ends = new Set<number>(tokenizer?.eosId === undefined ? [] : [tokenizer.eosId]);
  const generation = join(checkpoint.directory, "generation_config.json");
  const configs: [string, unknown][] = [
    [join(checkpoint.directory, "config.json"), checkpoint.config],
    [generation, await readJson(generation)],
  ];
  for (const [file, config] of configs) {
    const read = schema.safeParse(config ?? {});
    if (!read.success) throw new InputError(`${file}: eos_token_id is neither a token id nor a list of them`);
    for (const id of [read.data.eos_token_id ?? []].flat()) ends.add(id);
  }
  return ends;
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new InputError(`${file}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}
