import { readSmallFile } from "./folder.js";
import { makeGgufFile } from "./gguf/files.js";
import { isGgufFile } from "./gguf/find.js";

/**
 * A small file of a model: of its folder, or what a GGUF file says in place of it. Undefined where there is none. Throws
 * InputError if it is over `limit` bytes.
 */
export async function readModelFile(model: string, name: string, limit: number): Promise<Uint8Array | undefined> {
  return (await isGgufFile(model)) ? makeGgufFile(model, name) : readSmallFile(model, name, limit);
}
