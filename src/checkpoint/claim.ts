import { randomUUID } from "node:crypto";
import { lstat, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { InputError } from "../errors.js";
import { errorCode, isMissing } from "./folder.js";
import { isObject } from "./json.js";
import { isAlive, isOwner, type Owner, thisProcess } from "./owner.js";
import { isUnfinished } from "./unfinished.js";

/** The right of one process to write one output folder, kept as a lock file beside it until the end. */
export interface Claim {
  /** The folder to write in: empty, or what an earlier run left to go on with (see unfinished.ts). */
  readonly partial: string;
  /** Where a folder that is replaced waits until the new one is in its place. */
  readonly aside: string;
  /**
   * Ends the claim. While the partial folder is there, removes it, or keeps it where it can be gone on with and that is
   * wanted, and puts back what was moved aside; when it was renamed to its place, removes what was moved aside.
   */
  release(options?: { readonly keep: boolean }): Promise<void>;
}

/** What the lock file says: who writes, and where he moves an older output. */
interface Lock extends Owner {
  readonly id: string;
}

/**
 * Claims `output` (absolute) and its folder `${output}.partial`, after clearing up behind a process that died while it wrote
 * there. Throws InputError when another process is writing it, or the folder is not a leftover of pare.
 */
export async function claimOutput(output: string): Promise<Claim> {
  const lockPath = `${output}.partial.lock`;
  const partial = `${output}.partial`;
  const lock: Lock = { ...(await thisProcess()), id: randomUUID() };
  const left = await readLock(lockPath);
  if (left === "empty")
    await rm(lockPath); // killed while taking the lock: nothing else was begun
  else if (left !== undefined) {
    if ((await isAlive(left)) !== false) throw takenBy(left, output);
    await clearUp(output, left.id, true);
  }
  try {
    await writeFile(lockPath, JSON.stringify(lock), { flag: "wx" });
  } catch (error) {
    if (errorCode(error) === "EEXIST") throw new InputError(`${output}: another process has just begun to write it`);
    throw error;
  }
  try {
    await mkdir(partial);
  } catch (error) {
    const isThere = errorCode(error) === "EEXIST";
    if (!isThere || !(await isUnfinished(partial))) {
      await rm(lockPath);
      if (!isThere) throw error;
      throw new InputError(`${partial}: is in the way and not a leftover of pare; move it or choose another output`);
    }
  }
  return {
    partial,
    aside: asidePath(output, lock.id),
    release: ({ keep } = { keep: false }) => clearUp(output, lock.id, keep),
  };
}

/**
 * Ends the claim `id`, at whatever point its process stopped. Without the partial folder the new output had been put in place
 * and the old one can go; with it, an old output that was moved aside comes back. The lock goes last.
 */
async function clearUp(output: string, id: string, keep: boolean): Promise<void> {
  const partial = `${output}.partial`;
  const aside = asidePath(output, id);
  if ((await exists(aside)) && (await exists(partial))) {
    if (await exists(output))
      throw new InputError(`${output}: is in the way of its former content in ${aside}; move it`);
    await rename(aside, output);
  }
  await rm(aside, { recursive: true, force: true });
  if (!keep || !(await isUnfinished(partial))) await rm(partial, { recursive: true, force: true });
  await rm(`${output}.partial.lock`, { force: true });
}

function asidePath(output: string, id: string): string {
  return `${output}.replaced-${id}`;
}

async function readLock(path: string): Promise<Lock | "empty" | undefined> {
  let text: string;
  try {
    if (!(await lstat(path)).isFile()) throw notALock(path);
    text = await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  if (text === "") return "empty";
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw notALock(path);
  }
  if (!isLock(value)) throw notALock(path);
  return value;
}

function isLock(value: unknown): value is Lock {
  if (!isObject(value)) return false;
  return isOwner(value) && typeof value["id"] === "string" && /^[0-9a-f-]{36}$/.test(value["id"]);
}

function notALock(path: string): InputError {
  return new InputError(`${path}: is in the way and no lock file of pare; move it or choose another output`);
}

function takenBy(lock: Lock, output: string): InputError {
  return new InputError(
    `${output}: is being written by process ${lock.pid} on ${JSON.stringify(lock.host)}; wait for it, ` +
      `or remove ${output}.partial.lock if it is gone`,
  );
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
