import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { DTYPE_BYTES, isFloatDType } from "../../tensor/dtype.js";
import type { Checkpoint, TensorEntry } from "../checkpoint.js";
import { readExactly, writeExactly } from "../folder.js";
import { CONFIG_FILE, INDEX_FILE } from "../layout.js";
import { CHUNK_BYTES } from "../read.js";
import { type Planned, planShard } from "../safetensors.js";
import type { Shard } from "../shard.js";
import { UNFINISHED } from "../unfinished.js";
import { bitmaskBytes, countKept, elementsOf, pack } from "./codec.js";
import { bitmaskConfig, type Part } from "./config.js";

/** Ends the names of files with bitmasks until they take the place of the dense ones. */
export const BITMASK = ".bitmask";

/**
 * Writes a file `NAME.bitmask` beside each finished dense one in the folder. Gives the config and the index that go with
 * them, as JSON.
 */
export async function writeBitmasks(
  base: Checkpoint,
  shards: Iterable<Pick<Shard, "name" | "entries">>,
  sparse: ReadonlySet<string>,
  folder: string,
  check: () => void,
): Promise<Map<string, string>> {
  const weightMap: Record<string, string> = {};
  const modules: string[] = [];
  let [bytes, size, zeros] = [0, 0, 0];
  for (const { name, entries } of shards) {
    const dense = await open(join(folder, name + UNFINISHED), "r");
    try {
      const written = await writeBitmaskShard(dense, entries, sparse, join(folder, name + BITMASK), check);
      for (const tensor of written.tensors) weightMap[tensor] = name;
      modules.push(...written.modules);
      bytes += written.bytes;
      size += written.size;
      zeros += written.zeros;
    } finally {
      await dense.close();
    }
  }
  const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  const config = { ...base.config, quantization_config: bitmaskConfig(modules, zeros / size) };
  return new Map([
    [CONFIG_FILE, json(size === 0 ? base.config : config)],
    [INDEX_FILE, json({ metadata: { total_size: bytes }, weight_map: weightMap })],
  ]);
}

/** What became of the tensors of a shard. */
interface WrittenShard {
  readonly tensors: readonly string[];
  /** Bytes of all tensors. */
  readonly bytes: number;
  /** The weights stored as bitmasks: names without `.weight`, and how many numbers they have. */
  readonly modules: readonly string[];
  readonly size: number;
  readonly zeros: number;
}

/**
 * Writes a dense shard's tensors to the new file `path`, those in `sparse` as bitmasks wherever that is smaller. On the disk
 * when this returns.
 */
async function writeBitmaskShard(
  from: FileHandle,
  entries: readonly TensorEntry[],
  sparse: ReadonlySet<string>,
  path: string,
  check: () => void,
): Promise<WrittenShard> {
  const readTensor = async ({ begin, end }: TensorEntry): Promise<Uint8Array> => {
    const bytes = new Uint8Array(end - begin);
    await readExactly(from, bytes, begin, path);
    return bytes;
  };
  const kept = new Map<TensorEntry, number>();
  for (const entry of entries) {
    const { name, dtype, shape, begin, end } = entry;
    if (!sparse.has(name) || !name.endsWith(".weight") || shape.length !== 2 || !isFloatDType(dtype)) continue;
    check();
    const count = countKept(elementsOf(await readTensor(entry), DTYPE_BYTES[dtype]));
    if (bitmaskBytes(shape[0]!, shape[1]!, count, DTYPE_BYTES[dtype]) < end - begin) kept.set(entry, count);
  }
  const planned = entries.flatMap((entry): Planned[] => {
    const count = kept.get(entry);
    if (count === undefined) return [entry];
    const [rows, columns] = entry.shape as [number, number];
    return [
      { name: partName(entry, "shape"), dtype: "I64", shape: [2] },
      { name: partName(entry, "row_offsets"), dtype: "I64", shape: [rows] },
      { name: partName(entry, "compressed"), dtype: entry.dtype, shape: [count] },
      { name: partName(entry, "bitmask"), dtype: "U8", shape: [rows, Math.ceil(columns / 8)] },
    ];
  });
  const { entries: places, header } = planShard(planned, "");
  const placeOf = new Map(places.map(({ name, begin }) => [name, begin]));
  const handle = await open(path, "wx");
  try {
    await writeExactly(handle, header, 0);
    for (const entry of entries) {
      if (!kept.has(entry)) {
        await copy(from, entry, handle, placeOf.get(entry.name)!, path, check);
        continue;
      }
      check();
      const [rows, columns] = entry.shape as [number, number];
      const { values, mask, offsets } = pack(await readTensor(entry), rows, columns, DTYPE_BYTES[entry.dtype]);
      const shape = BigInt64Array.of(BigInt(rows), BigInt(columns));
      const put = (part: Part, bytes: Uint8Array) => writeExactly(handle, bytes, placeOf.get(partName(entry, part))!);
      await put("shape", new Uint8Array(shape.buffer));
      await put("row_offsets", new Uint8Array(offsets.buffer));
      await put("compressed", values);
      await put("bitmask", mask);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  const modules = [...kept.keys()].map(moduleName);
  const size = [...kept.keys()].reduce((sum, { shape }) => sum + shape[0]! * shape[1]!, 0);
  const zeros = size - [...kept.values()].reduce((sum, count) => sum + count, 0);
  const end = places.at(-1)?.end ?? header.length;
  return { tensors: places.map(({ name }) => name), bytes: end - header.length, modules, size, zeros };
}

function partName(entry: TensorEntry, part: Part): string {
  return `${moduleName(entry)}.${part}`;
}

function moduleName({ name }: TensorEntry): string {
  return name.slice(0, -".weight".length);
}

async function copy(
  from: FileHandle,
  { begin, end }: TensorEntry,
  to: FileHandle,
  position: number,
  path: string,
  check: () => void,
): Promise<void> {
  const buffer = new Uint8Array(Math.min(CHUNK_BYTES, end - begin));
  for (let done = 0; done < end - begin; done += buffer.length) {
    check();
    const chunk = buffer.subarray(0, Math.min(buffer.length, end - begin - done));
    await readExactly(from, chunk, begin + done, path);
    await writeExactly(to, chunk, position + done);
  }
}
