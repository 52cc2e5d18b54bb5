import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { isDirectory, isFile } from "../../files.js";
import { resolveFile } from "../folder.js";

const GGUF = /\.gguf$/i;

export async function isGgufFile(path: string): Promise<boolean> {
  return GGUF.test(path) && isFile(path);
}

/**
 * The GGUF file that a model's path means: the file that it names, or the only one in a folder that has no other weights.
 * Undefined for a folder of safetensors files, and for what is not there. Throws InputError for a link that leaves the folder.
 */
export async function ggufFileOf(path: string): Promise<string | undefined> {
  if (await isGgufFile(path)) return path;
  if (!(await isDirectory(path))) return undefined;
  const names = await readdir(path);
  const ggufs = names.filter((name) => GGUF.test(name));
  const hasOther = names.some((name) => /\.safetensors(\.index\.json)?$/.test(name));
  const [only, ...more] = ggufs;
  if (only === undefined || more.length > 0 || hasOther) return undefined;
  await resolveFile(path, only);
  return join(path, only);
}
