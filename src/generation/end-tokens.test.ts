import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Model } from "../model/model.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { endTokens } from "./end-tokens.js";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "pare-end-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const modelWith = (config: object) =>
  ({ checkpoint: { path: directory, configFile: "config.json", config } }) as unknown as Model;
const tokenizer = { eosId: 2 } as Tokenizer;
const writeGeneration = (text: string) => writeFile(join(directory, "generation_config.json"), text);

// Llama 3: config.json 128001, generation_config.json [128001, 128008, 128009], the tokenizer <|eot_id|> 128009.
test("the union of what config.json, generation_config.json and the tokenizer say", async () => {
  await writeGeneration('{"eos_token_id": [128001, 128008, 128009]}');
  const ends = await endTokens(modelWith({ eos_token_id: 128001 }), { eosId: 128009 } as Tokenizer);
  expect([...ends].sort()).toEqual([128001, 128008, 128009]);
});

test.each<[object, string | undefined, Tokenizer | undefined, number[]]>([
  [{}, undefined, undefined, []],
  [{ eos_token_id: null }, "{}", undefined, []],
  [{ eos_token_id: 0 }, undefined, undefined, [0]],
  [{ eos_token_id: [3, 4] }, '{"eos_token_id": null}', tokenizer, [2, 3, 4]],
  [{}, '{"eos_token_id": 7}', tokenizer, [2, 7]],
])("config %j, generation_config %j", async (config, generation, its, expected) => {
  if (generation !== undefined) await writeGeneration(generation);
  expect([...(await endTokens(modelWith(config), its))].sort()).toEqual(expected);
});

test.each([
  ['{"eos_token_id": "</s>"}', "generation_config.json: eos_token_id is neither"],
  ['{"eos_token_id": [1.5]}', "generation_config.json: eos_token_id is neither"],
  ["[]", "generation_config.json: JSON, but not an object"],
  ["{", "generation_config.json: "],
])("refused: %s", async (generation, message) => {
  await writeGeneration(generation);
  await expect(endTokens(modelWith({}), tokenizer)).rejects.toThrow(
    expect.objectContaining({ name: "InputError", message: expect.stringContaining(message) }),
  );
});
