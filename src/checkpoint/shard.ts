import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { RunError } from "../errors.js";
import { DTYPE_BYTES, firstNonFinite, isFloatDType, narrow } from "../tensor/dtype.js";
import type { Checkpoint, TensorEntry } from "./checkpoint.js";
import { writeExactly } from "./folder.js";
import { quote } from "./json.js";
import { CHUNK_BYTES } from "./read.js";
import { UNFINISHED } from "./unfinished.js";

/** One safetensors file being written: same bytes as the base's, except for the tensors that are replaced. */
export interface Shard {
  readonly name: string;
  readonly size: number;
  /** In the order of the data. */
  readonly entries: readonly TensorEntry[];
  readonly handle: FileHandle;
}

export async function closeAll(shards: ReadonlyMap<string, Shard>): Promise<void> {
  await Promise.all([...shards.values()].map(({ handle }) => handle.close()));
}

/** Writes a tensor's values in its dtype. Throws RunError where they do not fit. */
export async function writeTensor(
  handle: FileHandle,
  entry: TensorEntry,
  values: Float32Array,
  output: string,
  check: () => void,
): Promise<void> {
  const { name, dtype } = entry;
  if (!isFloatDType(dtype)) throw new RunError(`${output}: tensor ${quote(name)} is ${dtype}, which is not written`);
  const size = DTYPE_BYTES[dtype];
  const length = (entry.end - entry.begin) / size;
  if (values.length !== length) {
    throw new RunError(`${output}: tensor ${quote(name)} got ${values.length} values instead of ${length}`);
  }
  const bad = firstNonFinite(values, dtype);
  if (bad >= 0) {
    throw new RunError(
      `${output}: tensor ${quote(name)} got the value ${values[bad]} at index ${bad}, which is not finite as ${dtype}`,
    );
  }
  const step = CHUNK_BYTES / size;
  for (let i = 0; i < length; i += step) {
    check();
    await writeExactly(handle, narrow(values.subarray(i, i + step), dtype), entry.begin + i * size);
  }
}

/** Opens a data file; a new one gets its full size and the header. */
export async function openShard(base: Checkpoint, name: string, partial: string, isNew: boolean): Promise<Shard> {
  const size = base.shardBytes(name);
  const entries = [...base.tensors.values()]
    .filter(({ file }) => file === name)
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  const handle = await open(join(partial, name + UNFINISHED), isNew ? "wx+" : "r+");
  const shard = { name, size, entries, handle };
  try {
    if (isNew) {
      await handle.truncate(size);
      await copyRanges(base, shard, [[0, entries[0]?.begin ?? size]], () => {});
    }
    return shard;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Copies the tensors that were not written; then the file is whole and durable. */
export async function finishShard(
  base: Checkpoint,
  shard: Shard,
  written: ReadonlySet<string>,
  check: () => void,
): Promise<void> {
  const ranges: [number, number][] = [];
  for (const { name, begin, end } of shard.entries) {
    const last = ranges.at(-1);
    if (written.has(name)) continue;
    if (last?.[1] === begin) last[1] = end;
    else ranges.push([begin, end]);
  }
  await copyRanges(base, shard, ranges, check);
  await shard.handle.sync();
  await shard.handle.close();
}

async function copyRanges(
  base: Checkpoint,
  shard: Shard,
  ranges: readonly (readonly [number, number])[],
  check: () => void,
): Promise<void> {
  const buffer = new Uint8Array(Math.min(CHUNK_BYTES, shard.size));
  for (const [begin, end] of ranges) {
    for (let position = begin; position < end; position += buffer.length) {
      check();
      const chunk = buffer.subarray(0, Math.min(buffer.length, end - position));
      await base.readShard(shard.name, chunk, position);
      await writeExactly(shard.handle, chunk, position);
    }
  }
}
