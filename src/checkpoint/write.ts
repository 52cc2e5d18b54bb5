import { mkdir, open, readdir, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { AbortError, RunError, systemAdvice, throwIfAborted } from "../errors.js";
import { BITMASK, writeBitmasks } from "./bitmask/write.js";
import type { Checkpoint, CheckpointWriter } from "./checkpoint.js";
import { type Claim, claimOutput } from "./claim.js";
import { copiedFiles, readCopied } from "./copied.js";
import { checkPlainName, errorCode, isMissing, writeExactly } from "./folder.js";
import { quote } from "./json.js";
import { CONFIG_FILE } from "./layout.js";
import { checkApart, checkOutput, checkSpace } from "./output.js";
import { readTensor } from "./read.js";
import { closeAll, finishShard, openShard, type Shard, writeTensor } from "./shard.js";
import { beginRun, continueRun, endRun, isUnfinished, type RunJournal, UNFINISHED } from "./unfinished.js";

interface WriterOptions {
  readonly force: boolean;
  /** Gives all that determines what will be written, as JSON: what is committed is then kept for a run of the same. */
  readonly run?: () => Promise<unknown>;
  /** Tensors that are stored as bitmasks in the end, wherever that is smaller. */
  readonly bitmask?: ReadonlySet<string> | undefined;
  /** Bytes that the disk has to have room for beside the folder. */
  readonly besides?: number;
}

/**
 * Begins a copy of `base` with other weights in the folder `output`, which appears only when finish() is done. Writes to
 * `${output}.partial` beside it. What a stopped process left there is gone on with where it was of the same run, else
 * removed. Throws InputError when the output is not empty (`force` replaces it), touches the base or is being written;
 * RunError when the disk has too little space.
 */
export async function createCheckpointWriter(
  base: Checkpoint,
  output: string,
  options: WriterOptions,
): Promise<CheckpointWriter> {
  const target = resolve(output);
  return orRunError(output, async () => {
    await checkApart(base, target, output);
    const copied = await copiedFiles(base);
    await mkdir(dirname(target), { recursive: true });
    const claim = await claimOutput(target);
    const shards = new Map<string, Shard>();
    let journal: RunJournal | undefined;
    let startedOver = false;
    try {
      await checkOutput(target, output, options.force);
      // Bitmasks are made when all is written, beside it.
      const bitmasks = options.bitmask ? base.shards.reduce((sum, name) => sum + base.shardBytes(name), 0) : 0;
      await checkSpace(base, copied, target, output, bitmasks + (options.besides ?? 0));
      const run = options.run && JSON.stringify(await options.run());
      if (run !== undefined) journal = await continueRun(claim.partial, run, base.shards);
      if (!journal) {
        startedOver = await isUnfinished(claim.partial);
        await emptyFolder(claim.partial);
      }
      for (const name of base.shards)
        shards.set(name, await openShard(base, name, claim.partial, journal === undefined));
      if (run !== undefined) journal ??= await beginRun(claim.partial, run);
    } catch (error) {
      await closeAll(shards);
      await journal?.close();
      await claim.release("unfinished");
      throw error;
    }
    return writer(base, target, output, { ...options, startedOver }, claim, shards, copied, journal);
  });
}

async function emptyFolder(path: string): Promise<void> {
  for (const name of await readdir(path)) await rm(join(path, name), { recursive: true });
}

function writer(
  base: Checkpoint,
  target: string,
  output: string,
  { force, bitmask, startedOver }: WriterOptions & { readonly startedOver: boolean },
  claim: Claim,
  shards: ReadonlyMap<string, Shard>,
  copied: readonly string[],
  journal: RunJournal | undefined,
): CheckpointWriter {
  const written = new Set(journal?.done.flatMap(({ tensors }) => tensors));
  const uncommitted = new Set<string>();
  let commits = journal?.done.length ?? 0;
  const running = new Set<Promise<void>>();
  let state: "open" | "finishing" | "whole" | "done" = "open";
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
    done: journal?.done.map(({ value }) => value) ?? [],
    startedOver,
    write: async (name, values) =>
      track(async () => {
        const entry = base.tensors.get(name);
        const shard = entry && shards.get(entry.file);
        if (!entry || !shard) throw new RunError(`${output}: the base has no tensor ${quote(name)}`);
        await writeTensor(shard.handle, entry, values, output, checkRunning);
        written.add(name);
        uncommitted.add(name);
      }),
    read: async (name) => {
      const entry = base.tensors.get(name);
      const shard = entry && written.has(name) ? shards.get(entry.file) : undefined;
      return entry && shard ? readTensor(shard.handle, entry, join(claim.partial, shard.name)) : base.read(name);
    },
    commit: async (value) =>
      track(async () => {
        const tensors = [...uncommitted];
        uncommitted.clear();
        for (const file of new Set(tensors.map((name) => base.tensors.get(name)!.file))) {
          await shards.get(file)!.handle.sync();
        }
        await journal?.append({ tensors, value });
        commits++;
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
        for (const shard of shards.values()) await finishShard(base, shard, written, check);
        if (bitmask) {
          const described = await writeBitmasks(base, shards.values(), bitmask, claim.partial, check);
          for (const [name, text] of described) if (copied.includes(name)) added.set(name, text);
        }
        const content = async (name: string): Promise<Uint8Array> => {
          const text = added.get(name);
          return text === undefined ? readCopied(base, name) : new TextEncoder().encode(text);
        };
        const names = new Set([...copied, ...added.keys()]);
        names.delete(CONFIG_FILE);
        for (const name of names) await put(name, await content(name));
        const forget = async () => {
          await journal?.close();
          await endRun(claim.partial);
        };
        await put(CONFIG_FILE + UNFINISHED, await content(CONFIG_FILE));
        check();
        // From here on names alone change. A run goes on from dense files alone.
        if (bitmask) await forget();
        for (const name of shards.keys()) {
          const dense = join(claim.partial, name + UNFINISHED);
          await rename(bitmask ? join(claim.partial, name + BITMASK) : dense, join(claim.partial, name));
          if (bitmask) await rm(dense);
        }
        // Without its config nothing takes the folder for a checkpoint: so it comes last.
        await rename(join(claim.partial, CONFIG_FILE + UNFINISHED), join(claim.partial, CONFIG_FILE));
        await forget();
        await syncFolder(claim.partial);
        state = "whole";
        await putInPlace(claim, target, output, force);
        state = "done";
        await claim.release("nothing");
      });
    },
    abandon: ({ keep } = { keep: false }) => {
      abandoned ??= (async () => {
        await Promise.all(running);
        if (state === "done") return;
        await closeAll(shards);
        await journal?.close();
        const isWhole = state === "whole";
        await claim.release(isWhole ? "everything" : keep && commits > 0 ? "unfinished" : "nothing");
      })();
      return abandoned;
    },
  };
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

/**
 * Two renames when an older output is replaced: it is kept, aside, until the new one stands in its place. Throws RunError where
 * that cannot be; the folder is whole and stays then.
 */
async function putInPlace(claim: Claim, target: string, output: string, force: boolean): Promise<void> {
  const refused = (why: string, cause: unknown) =>
    new RunError(`${output}: ${why}; nothing was replaced, and what was to stand there is ${output}.partial`, {
      cause,
    });
  try {
    await rmdir(target);
  } catch (error) {
    if (!isMissing(error)) {
      if (!force) throw refused("was filled by someone else meanwhile", error);
      await rename(target, claim.aside).catch((cause) => {
        throw refused(`cannot be replaced (${errorCode(cause)})`, cause);
      });
    }
  }
  await rename(claim.partial, target).catch((cause) => {
    throw refused(`cannot be put in place (${errorCode(cause)})`, cause);
  });
  await syncFolder(dirname(target));
}

/** Does the work; what the system refuses (disk full, no permission) becomes a RunError naming the output. */
async function orRunError<T>(output: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    throw new RunError(`${output}: cannot be written (${code}): ${systemAdvice(code) ?? "check the folder"}`, {
      cause: error,
    });
  }
}
