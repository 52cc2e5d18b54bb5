import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Checkpoint } from "./checkpoint.js";
import { resolveFile } from "./folder.js";
import { ggufFileNames } from "./gguf/files.js";
import { INDEX_FILE } from "./layout.js";
import { readModelFile } from "./model-file.js";

/** A tokenizer of 256,000 entries takes some 35 MB. */
const MAX_COPIED_BYTES = 500_000_000;

/** Files that belong to a checkpoint whatever its weights are: configs, tokenizer, chat template, code, licence. */
const COPIED = [
  /^(config|generation_config|special_tokens_map|added_tokens|chat_template)\.json$/,
  /processor_config\.json$/,
  /^tokenizer/,
  /^vocab\./,
  /^merges\.txt$/,
  /\.(jinja|model|tiktoken|py)$/,
  /^(LICEN[CS]E|NOTICE|USE_POLICY)/i,
];

/** Weights in other formats, which would be those of the base. */
const WEIGHTS = /\.(safetensors|bin|pt|pth|gguf|h5|msgpack|onnx|ot)$/;

/** Whether a file of that name is a checkpoint's, whatever its weights are. */
export function belongsToAnyWeights(name: string): boolean {
  return !WEIGHTS.test(name) && COPIED.some((pattern) => pattern.test(name));
}

/** The names of the base's files that its compressed copy takes over as they are. Throws InputError for a link that leaves the folder. */
export async function copiedFiles(base: Checkpoint): Promise<string[]> {
  if (base.path !== base.directory) return ggufFileNames(base.path);
  const names: string[] = [];
  for (const item of await readdir(base.directory, { withFileTypes: true })) {
    const { name } = item;
    const index = name === INDEX_FILE && !base.shards.includes("model.safetensors");
    if (!index && !belongsToAnyWeights(name)) continue;
    if (item.isDirectory() || (await resolveFile(base.directory, name)) === undefined) continue;
    names.push(name);
  }
  return names.sort();
}

export async function readCopied(base: Checkpoint, name: string): Promise<Uint8Array> {
  const bytes = base.files?.get(name) ?? (await readModelFile(base.path, name, MAX_COPIED_BYTES));
  if (bytes === undefined) throw new Error(`${join(base.directory, name)}: vanished`);
  return bytes;
}
