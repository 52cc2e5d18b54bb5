import { lstat, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { InputError } from "../errors.js";
import { errorCode, isMissing } from "./folder.js";
import { idOf, type LockFile, newLock, readLockFile, removeLockFile } from "./lock-file.js";
import { isAlive } from "./owner.js";
import { isUnfinished } from "./unfinished.js";

/** The right of one process to write one output folder, kept as a lock file beside it until the end. */
export interface Claim {
  /** The folder to write in: empty, or what an earlier run left to go on with (see unfinished.ts). */
  readonly partial: string;
  /** Where a folder that is replaced waits until the new one is in its place. */
  readonly aside: string;
  /** Ends the claim. While the partial folder is there, puts back what was moved aside; else removes that. */
  release(kept: Kept): Promise<void>;
}

/** After so long an empty lock's process is not writing it any more. */
const WRITING_MILLISECONDS = 2000;
const WAIT_MILLISECONDS = 100;

/** What stays of a partial folder: nothing, what can be gone on with, or all of it. */
type Kept = "nothing" | "unfinished" | "everything";

/**
 * Claims `output` (absolute) and its folder `${output}.partial`, after clearing up behind a process that died while it wrote
 * there. Throws InputError when another process is writing it, or the folder is not a leftover of pare.
 */
export async function claimOutput(output: string): Promise<Claim> {
  const lockPath = `${output}.partial.lock`;
  const partial = `${output}.partial`;
  const lock = await newLock();
  const left = await readLock(lockPath);
  if (left) {
    if (left !== "nobody" && (await isAlive(left)) !== false) throw takenBy(left, output);
    // As long as it is his: what he left is known by his lock alone, which goes last.
    if (left !== "nobody" && idOf(await readLock(lockPath)) === left.id) await clearUp(output, left.id, "unfinished");
    if (!(await removeLockFile(lockPath, left))) throw justTaken(output);
  }
  try {
    await writeFile(lockPath, JSON.stringify(lock), { flag: "wx" });
  } catch (error) {
    if (errorCode(error) === "EEXIST") throw justTaken(output);
    throw error;
  }
  const release = () => rm(lockPath, { force: true });
  try {
    await mkdir(partial);
  } catch (error) {
    const isThere = errorCode(error) === "EEXIST";
    if (!isThere || !(await isUnfinished(partial))) {
      await release();
      if (!isThere) throw error;
      throw new InputError(`${partial}: is in the way and not a leftover of pare; move it or choose another output`);
    }
  }
  return {
    partial,
    aside: asidePath(output, lock.id),
    async release(kept) {
      await clearUp(output, lock.id, kept);
      await release();
    },
  };
}

/**
 * Clears up behind the claim `id`, at whatever point its process stopped. Without the partial folder the new output had been put
 * in place and the old one can go; with it, an old output that was moved aside comes back.
 */
async function clearUp(output: string, id: string, kept: Kept): Promise<void> {
  const partial = `${output}.partial`;
  const aside = asidePath(output, id);
  if ((await exists(aside)) && (await exists(partial))) {
    if (await exists(output))
      throw new InputError(`${output}: is in the way of its former content in ${aside}; move it`);
    await rename(aside, output);
  }
  await rm(aside, { recursive: true, force: true });
  const stays = kept === "everything" || (kept === "unfinished" && (await isUnfinished(partial)));
  if (!stays) await rm(partial, { recursive: true, force: true });
}

function asidePath(output: string, id: string): string {
  return `${output}.replaced-${id}`;
}

/**
 * As readLockFile, for a user's folder, where what is no lock may be anything. An empty file is of a process that is just writing it,
 * for which this waits, or of one that was killed there.
 */
async function readLock(path: string, waited = 0): Promise<LockFile | "nobody" | undefined> {
  const notALock = () =>
    new InputError(`${path}: is in the way and no lock file of pare; move it or choose another output`);
  const info = await lstat(path).catch(unlessMissing);
  if (!info) return undefined;
  if (!info.isFile()) throw notALock();
  const found = await readLockFile(path);
  if (found === "nobody") {
    if (info.size > 0) throw notALock();
    if (waited >= WRITING_MILLISECONDS) return found;
    await setTimeout(WAIT_MILLISECONDS);
    return readLock(path, waited + WAIT_MILLISECONDS);
  }
  if (typeof found === "object" && !/^[0-9a-f-]{36}$/.test(found.id)) throw notALock();
  return found;
}

function takenBy(lock: LockFile, output: string): InputError {
  return new InputError(
    `${output}: is being written by process ${lock.pid} on ${JSON.stringify(lock.host)}; wait for it, ` +
      `or remove ${output}.partial.lock if it is gone`,
  );
}

function justTaken(output: string): InputError {
  return new InputError(`${output}: another process has just begun to write it; wait for it`);
}

function unlessMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}
