import { type FileHandle, mkdir, open, rename, rmdir, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { AbortError, InputError, RunError, throwIfAborted } from "../errors.js";
import { DTYPE_BYTES, firstNonFinite, isFloatDType, narrow } from "../tensor/dtype.js";
import type { Checkpoint, CheckpointWriter, TensorEntry } from "./checkpoint.js";
import { type Claim, claimOutput } from "./claim.js";
import { copiedFiles, readCopied } from "./copied.js";
import { checkPlainName, errorCode, isMissing, openFile, readExactly, resolveFile } from "./folder.js";
import { quote } from "./json.js";
import { CONFIG_FILE } from "./open.js";
import { checkApart, checkOutput, checkSpace } from "./output.js";
import { CHUNK_BYTES } from "./read.js";

/** One safetensors file being written: same bytes as the base's, except for the tensors that are replaced. */
interface Shard {
  readonly name: string;
  readonly source: string;
  readonly size: number;
  /** In the order of the data. */
  readonly entries: readonly TensorEntry[];
  readonly handle: FileHandle;
}

/** Ends the names of data files until they are whole, so that what a killed process leaves opens nowhere. */
const UNFINISHED = ".partial";

/**
 * Begins a copy of `base` with other weights in the folder `output`, which appears only when finish() is done. Writes to
 * `${output}.partial` beside it, and takes over what a killed process left there. Throws InputError when the output is
 * not empty (`force` replaces it), touches the base or is being written; RunError when the disk has too little space.
 */
export async function createCheckpointWriter(
  base: Checkpoint,
  output: string,
  options: { readonly force: boolean },
): Promise<CheckpointWriter> {
  const target = resolve(output);
  return orRunError(output, async () => {
    await checkApart(base, target, output);
    const copied = await copiedFiles(base);
    await mkdir(dirname(target), { recursive: true });
    const claim = await claimOutput(target);
    const shards = new Map<string, Shard>();
    try {
      await checkOutput(target, output, options.force);
      await checkSpace(base, copied, target, output);
      for (const name of base.shards) shards.set(name, await beginShard(base, name, claim.partial));
    } catch (error) {
      await closeAll(shards);
      await claim.release();
      throw error;
    }
    return writer(base, target, output, options.force, claim, shards, copied);
  });
}

function writer(
  base: Checkpoint,
  target: string,
  output: string,
  force: boolean,
  claim: Claim,
  shards: ReadonlyMap<string, Shard>,
  copied: readonly string[],
): CheckpointWriter {
  const written = new Set<string>();
  const running = new Set<Promise<void>>();
  let state: "open" | "finishing" | "done" = "open";
  let abandoned: Promise<void> | undefined;

  const checkRunning = (signal?: AbortSignal): void => {
    throwIfAborted(signal);
    if (abandoned !== undefined) throw new AbortError("stopped");
  };
  /** Keeps abandon() waiting for work that has begun. */
  const track = (work: () => Promise<void>): Promise<void> => {
    if (state !== "open" || abandoned !== undefined) throw new Error(`${output}: written to after its end`);
    const promise = orRunError(output, work);
    const settled = promise.catch(() => {}).finally(() => running.delete(settled));
    running.add(settled);
    return promise;
  };

  return {
    output,
    write: async (name, values) =>
      track(async () => {
        const entry = base.tensors.get(name);
        const shard = entry && shards.get(entry.file);
        if (!entry || !shard) throw new RunError(`${output}: the base has no tensor ${quote(name)}`);
        await writeTensor(shard.handle, entry, values, output, checkRunning);
        written.add(name);
      }),
    finish: async (files, signal) => {
      const begun = [...running];
      return track(async () => {
        state = "finishing";
        await Promise.all(begun);
        const check = (): void => checkRunning(signal);
        const put = async (name: string, bytes: Uint8Array): Promise<void> => {
          check();
          await writeFileDurably(join(claim.partial, name), bytes);
        };
        const added = new Map(Object.entries(files));
        for (const name of added.keys()) {
          checkPlainName(name, output);
          if (shards.has(name)) throw new Error(`${output}: ${name} is a file of weights`);
        }
        for (const shard of shards.values()) await finishShard(shard, written, output, check);
        const content = async (name: string): Promise<Uint8Array> => {
          const text = added.get(name);
          return text === undefined ? readCopied(base, name) : new TextEncoder().encode(text);
        };
        const names = new Set([...copied, ...added.keys()]);
        names.delete(CONFIG_FILE);
        for (const name of names) await put(name, await content(name));
        for (const name of shards.keys()) {
          await rename(join(claim.partial, name + UNFINISHED), join(claim.partial, name));
        }
        // Without its config nothing takes the folder for a checkpoint: so it comes last.
        await put(CONFIG_FILE, await content(CONFIG_FILE));
        await syncFolder(claim.partial);
        check();
        await putInPlace(claim, target, output, force);
        state = "done";
        await claim.release();
      });
    },
    abandon: () => {
      abandoned ??= (async () => {
        await Promise.all(running);
        if (state === "done") return;
        await closeAll(shards);
        await claim.release();
      })();
      return abandoned;
    },
  };
}

async function writeTensor(
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

/** Makes the file at its full size and copies the header. */
async function beginShard(base: Checkpoint, name: string, partial: string): Promise<Shard> {
  const path = join(base.directory, name);
  const source = await resolveFile(base.directory, name);
  if (source === undefined) throw new InputError(`${path}: is missing; it was removed while pare was reading it`);
  const { size } = await stat(source);
  const entries = [...base.tensors.values()]
    .filter(({ file }) => file === name)
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  const handle = await open(join(partial, name + UNFINISHED), "wx");
  const shard = { name, source, size, entries, handle };
  try {
    await handle.truncate(size);
    await copyRanges(shard, [[0, entries[0]?.begin ?? size]], path, () => {});
    return shard;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Copies the tensors that were not written; then the file is whole and durable. */
async function finishShard(
  shard: Shard,
  written: ReadonlySet<string>,
  output: string,
  check: () => void,
): Promise<void> {
  const ranges: [number, number][] = [];
  for (const { name, begin, end } of shard.entries) {
    const last = ranges.at(-1);
    if (written.has(name)) continue;
    if (last?.[1] === begin) last[1] = end;
    else ranges.push([begin, end]);
  }
  await copyRanges(shard, ranges, join(output, shard.name), check);
  await shard.handle.sync();
  await shard.handle.close();
}

async function copyRanges(
  shard: Shard,
  ranges: readonly (readonly [number, number])[],
  path: string,
  check: () => void,
): Promise<void> {
  const source = await openFile(shard.source, path);
  try {
    const buffer = new Uint8Array(Math.min(CHUNK_BYTES, shard.size));
    for (const [begin, end] of ranges) {
      for (let position = begin; position < end; position += buffer.length) {
        check();
        const chunk = buffer.subarray(0, Math.min(buffer.length, end - position));
        await readExactly(source, chunk, position, path);
        await writeExactly(shard.handle, chunk, position);
      }
    }
  } finally {
    await source.close();
  }
}

async function writeExactly(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}

/** A new file ("x": never through a link), on the disk when this returns. */
async function writeFileDurably(path: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(path, "wx");
  try {
    await writeExactly(handle, bytes, 0);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return; // Windows opens no folders
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Two renames when an older output is replaced: it is kept, aside, until the new one stands in its place. */
async function putInPlace(claim: Claim, target: string, output: string, force: boolean): Promise<void> {
  try {
    await rmdir(target);
  } catch (error) {
    if (!isMissing(error)) {
      if (!force) throw new RunError(`${output}: was filled by someone else meanwhile; nothing was replaced`);
      await rename(target, claim.aside);
    }
  }
  await rename(claim.partial, target);
  await syncFolder(dirname(target));
}

async function closeAll(shards: ReadonlyMap<string, Shard>): Promise<void> {
  await Promise.all([...shards.values()].map(({ handle }) => handle.close()));
}

/** Does the work; what the system refuses (disk full, no permission) becomes a RunError naming the output. */
async function orRunError<T>(output: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    const advice = code === "ENOSPC" || code === "EDQUOT" ? "the disk is full: make room" : "check the folder";
    throw new RunError(`${output}: cannot be written (${code}); ${advice}`, { cause: error });
  }
}
