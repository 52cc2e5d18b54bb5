import { join } from "node:path";
import { readSmallFile } from "./folder.js";
import { makeGgufFile } from "./gguf/files.js";
import { isGgufFile } from "./gguf/find.js";
import { parseJsonObject } from "./json.js";

/**
 * A small file of a model: of its folder, or what a GGUF file says in place of it. Undefined where there is none. Throws
 * InputError if it is over `limit` bytes.
 */
export async function readModelFile(model: string, name: string, limit: number): Promise<Uint8Array | undefined> {
  return (await isGgufFile(model)) ? makeGgufFile(model, name) : readSmallFile(model, name, limit);
}

/** The JSON object in such a file. Throws InputError for anything else, as parseJsonObject does. */
export async function readModelJson(
  model: string,
  name: string,
  limit: number,
): Promise<Record<string, unknown> | undefined> {
  const bytes = await readModelFile(model, name, limit);
  return bytes && parseJsonObject(bytes, join(model, name));
}
