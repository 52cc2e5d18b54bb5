import type { FileHandle } from "node:fs/promises";
import { openFile } from "../folder.js";
import { CONFIG_FILE, RECORD_FILE } from "../layout.js";
import { type GgufHeader, readGgufHeader } from "./header.js";
import { describeGguf } from "./model.js";
import { hasTokenizer, makeTokenizer, makeTokenizerConfig } from "./tokenizer.js";

/** How pare made the file, in its own words; GGUF has no key for that. */
export const RECORD_KEY = "pare.compression";

type Make = (header: GgufHeader, handle: FileHandle, path: string) => Promise<unknown>;

/** The files of a Hugging Face folder that can be made of a GGUF file, as JSON. */
const FILES: Readonly<Record<string, Make>> = {
  [CONFIG_FILE]: async (header, handle, path) => (await describeGguf(handle, header, path)).config,
  "tokenizer.json": async ({ metadata }, _handle, path) => makeTokenizer(metadata, path),
  "tokenizer_config.json": async ({ metadata }, _handle, path) => makeTokenizerConfig(metadata, path),
};

/** The names of the files that a copy in Hugging Face's layout gets. */
export async function ggufFileNames(path: string): Promise<string[]> {
  return withHeader(path, async ({ metadata }) => (hasTokenizer(metadata) ? Object.keys(FILES) : [CONFIG_FILE]));
}

/** One of these files, made of the metadata; undefined where there is nothing to make it of. Throws InputError. */
export async function makeGgufFile(path: string, name: string): Promise<Uint8Array | undefined> {
  if (name === RECORD_FILE) {
    return withHeader(path, async ({ metadata }) => {
      const record = metadata.get(RECORD_KEY);
      return typeof record === "string" ? new TextEncoder().encode(record) : undefined;
    });
  }
  const make = Object.hasOwn(FILES, name) ? FILES[name] : undefined;
  if (!make) return undefined;
  return withHeader(path, async (header, handle) => {
    if (name !== CONFIG_FILE && !hasTokenizer(header.metadata)) return undefined;
    const indent = name === "tokenizer.json" ? 0 : 2; // one is read by programs alone
    return new TextEncoder().encode(`${JSON.stringify(await make(header, handle, path), null, indent)}\n`);
  });
}

async function withHeader<T>(path: string, use: (header: GgufHeader, handle: FileHandle) => Promise<T>): Promise<T> {
  const handle = await openFile(path, path);
  try {
    return await use(await readGgufHeader(handle, path), handle);
  } finally {
    await handle.close();
  }
}
