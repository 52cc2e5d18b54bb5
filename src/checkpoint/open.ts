import { type FileHandle, readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { InputError } from "../errors.js";
import { denseView } from "./bitmask/open.js";
import type { Checkpoint, TensorEntry } from "./checkpoint.js";
import {
  checkPlainName,
  errorCode,
  isMissing,
  openFile,
  readExactly,
  readSmallFile,
  resolveFile,
  unreadable,
} from "./folder.js";
import { ggufFileOf } from "./gguf/find.js";
import { openGguf } from "./gguf/open.js";
import { isObject, parseJsonObject, quote } from "./json.js";
import { CONFIG_FILE, INDEX_FILE, SINGLE_FILE } from "./layout.js";
import { hashFiles, readBits, readRows, readTensor } from "./read.js";
import { headerLength, PREFIX_BYTES, parseHeader } from "./safetensors.js";

const MAX_CONFIG_BYTES = 10_000_000;
const MAX_INDEX_BYTES = 100_000_000;
/** Every shard is kept open; the largest published models have some hundreds. */
const MAX_SHARDS = 2000;

/**
 * Opens a folder as Hugging Face saves it (config.json and model.safetensors, or shards and their index), a GGUF file, or a
 * folder whose only weights are one GGUF file. Checks every header and the index; reads no weights. Throws InputError naming
 * file and tensor.
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  try {
    const file = await ggufFileOf(path);
    return await (file === undefined ? openFolder(path) : openGguf(file));
  } catch (error) {
    throw errorCode(error) === undefined ? error : unreadable(path, error);
  }
}

async function openFolder(directory: string): Promise<Checkpoint> {
  await checkFolder(directory);
  const configBytes = await readSmallFile(directory, CONFIG_FILE, MAX_CONFIG_BYTES);
  const index = await readIndex(directory);
  if (index === undefined) await explainNoWeights(directory);
  if (configBytes === undefined) {
    throw new InputError(
      `${directory}: has no ${CONFIG_FILE}; give the folder of a whole model as Hugging Face saves it`,
    );
  }
  const config = parseJsonObject(configBytes, join(directory, CONFIG_FILE));

  const shards = index === undefined ? [SINGLE_FILE] : [...new Set(index.values())].sort();
  const handles = new Map<string, FileHandle>();
  const close = async (): Promise<void> => {
    await Promise.all([...handles.values()].map((handle) => handle.close()));
    handles.clear();
  };
  try {
    const tensors = new Map<string, TensorEntry>();
    for (const shard of shards) await openShard(directory, shard, handles, tensors);
    if (index !== undefined) checkIndex(index, tensors, join(directory, INDEX_FILE));

    const handleOf = (shard: string): FileHandle => {
      const handle = handles.get(shard);
      if (handle === undefined) throw new Error(`${directory}: read after close`);
      return handle;
    };
    const locate = (name: string): { entry: TensorEntry; handle: FileHandle; path: string } => {
      const entry = tensors.get(name);
      if (entry === undefined) throw new InputError(`${directory}: has no tensor ${quote(name)}`);
      return { entry, handle: handleOf(entry.file), path: join(directory, entry.file) };
    };
    const sizes = new Map<string, number>();
    for (const [shard, handle] of handles) sizes.set(shard, (await handle.stat()).size);
    const stored: Checkpoint = {
      path: directory,
      directory,
      configFile: join(directory, CONFIG_FILE),
      config,
      tensors,
      shards,
      bytes: [...sizes.values()].reduce((sum, size) => sum + size, 0),
      shardBytes: (shard) => sizes.get(shard)!,
      readShard: (shard, into, position) => readExactly(handleOf(shard), into, position, join(directory, shard)),
      read: async (name, room) => {
        const { entry, handle, path } = locate(name);
        return readTensor(handle, entry, path, room);
      },
      readBfloat16: async (name, room) => {
        const { entry, handle, path } = locate(name);
        return readBits(handle, entry, path, room);
      },
      readRows: async (name, rows) => {
        const { entry, handle, path } = locate(name);
        return readRows(handle, entry, path, rows);
      },
      hash: (signal) => hashFiles(configBytes, handles, directory, signal),
      close,
    };
    return await denseView(stored);
  } catch (error) {
    await close();
    throw error;
  }
}

async function checkFolder(directory: string): Promise<void> {
  const advice = `give a folder with ${CONFIG_FILE} and safetensors files`;
  try {
    if ((await stat(directory)).isDirectory()) return;
  } catch (error) {
    if (!isMissing(error)) throw error;
    throw new InputError(
      `${directory}: no such folder or file; ${advice}, or a model of the Hugging Face hub as org/name`,
    );
  }
  if (isPickle(directory)) throw pickleOnly(dirname(directory));
  throw new InputError(`${directory}: not a folder; ${advice}`);
}

/** The index's weight_map, or undefined when the weights are one file. As in transformers, one file comes first. */
export async function readIndex(directory: string): Promise<Map<string, string> | undefined> {
  if ((await resolveFile(directory, SINGLE_FILE)) !== undefined) return undefined;
  const bytes = await readSmallFile(directory, INDEX_FILE, MAX_INDEX_BYTES);
  if (bytes === undefined) return undefined;
  const path = join(directory, INDEX_FILE);
  const { weight_map: weightMap } = parseJsonObject(bytes, path);
  if (!isObject(weightMap)) throw new InputError(`${path}: has no weight_map object; download it again`);
  const files = new Set<string>();
  const map = new Map<string, string>();
  for (const [tensor, file] of Object.entries(weightMap)) {
    if (typeof file !== "string") {
      throw new InputError(`${path}: weight_map names no file for tensor ${quote(tensor)}; download it again`);
    }
    if (!files.has(file)) {
      checkPlainName(file, path);
      if (!file.endsWith(".safetensors")) {
        throw new InputError(`${path}: names ${quote(file)}; only .safetensors files are read`);
      }
      files.add(file);
    }
    map.set(tensor, file);
  }
  if (files.size > MAX_SHARDS) {
    throw new InputError(`${path}: names ${files.size} files, more than the limit of ${MAX_SHARDS}`);
  }
  return map;
}

/** Throws InputError when there is no safetensors file at all, and says how to get one. */
async function explainNoWeights(directory: string): Promise<void> {
  const names = await readdir(directory);
  if (!names.includes(SINGLE_FILE)) throw noWeights(directory, names);
}

/** What to do about a model, in a folder or on the hub, whose files are these. */
export function noWeights(directory: string, names: readonly string[]): InputError {
  if (names.some(isPickle)) return pickleOnly(directory);
  const ggufs = names.filter((name) => /\.gguf$/i.test(name)).sort();
  if (ggufs.length > 0) {
    return new InputError(
      `${directory}: holds ${ggufs.length} GGUF files and no safetensors files; name the one that is meant: ` +
        `${join(directory, ggufs[0]!)}`,
    );
  }
  return new InputError(`${directory}: has neither ${SINGLE_FILE} nor ${INDEX_FILE}; give the folder of a whole model`);
}

function isPickle(name: string): boolean {
  return name.startsWith("pytorch_model") || /\.(bin|pt|pth)$/.test(name);
}

function pickleOnly(directory: string): InputError {
  const target = `${directory.replace(/[/\\]+$/, "")}-safetensors`;
  return new InputError(
    `${directory}: holds PyTorch pickle files only, which pare does not open because reading one can run any program; ` +
      `convert it: python -c "from transformers import AutoModelForCausalLM as M; ` +
      `M.from_pretrained(${JSON.stringify(directory).replaceAll('"', "'")}, torch_dtype='auto')` +
      `.save_pretrained(${JSON.stringify(target).replaceAll('"', "'")}, safe_serialization=True)"`,
  );
}

async function openShard(
  directory: string,
  shard: string,
  handles: Map<string, FileHandle>,
  tensors: Map<string, TensorEntry>,
): Promise<void> {
  const path = join(directory, shard);
  const target = await resolveFile(directory, shard);
  if (target === undefined) throw new InputError(`${path}: is missing; download it again`);
  const handle = await openFile(target, path);
  handles.set(shard, handle);
  const { size } = await handle.stat();
  const prefix = new Uint8Array(Math.min(PREFIX_BYTES, size));
  await readExactly(handle, prefix, 0, path);
  const bytes = new Uint8Array(PREFIX_BYTES + headerLength(prefix, size, path));
  await readExactly(handle, bytes, 0, path);
  for (const entry of parseHeader(bytes, size, path).entries) {
    const other = tensors.get(entry.name);
    if (other !== undefined) {
      throw new InputError(`${path}: tensor ${quote(entry.name)} stands in ${quote(other.file)} too; remove one`);
    }
    tensors.set(entry.name, entry);
  }
}

function checkIndex(index: ReadonlyMap<string, string>, tensors: ReadonlyMap<string, TensorEntry>, path: string): void {
  for (const [name, file] of index) {
    const found = tensors.get(name)?.file;
    if (found === file) continue;
    const instead = found === undefined ? "" : ` (it is in ${quote(found)})`;
    throw new InputError(
      `${path}: says tensor ${quote(name)} is in ${quote(file)}, which has no such tensor${instead}; download both again`,
    );
  }
  for (const [name, { file }] of tensors) {
    if (index.has(name)) continue;
    throw new InputError(`${path}: does not name tensor ${quote(name)} of ${quote(file)}; download both again`);
  }
}
