import { randomUUID } from "node:crypto";
import { link, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { errorCode, isMissing } from "./folder.js";
import { isObject } from "./json.js";
import { isAlive, isOwner, type Owner, thisProcess } from "./owner.js";

/** How often a lock says that its process works on, and after how long without it another machine's is taken over. */
const HEARTBEAT_SECONDS = 15;
const STALE_SECONDS = 600;

/** The right of one process to compute one thing. */
export interface Lock {
  release(): Promise<void>;
}

interface LockFile extends Owner {
  readonly id: string;
}

/**
 * Takes the lock whose file is `path`; undefined where another process holds it. What a dead process left is taken over.
 * Locks save work and protect nothing: what is computed under them is written whole, and the same whoever computes it, so
 * that the rare case of two who take over at one moment costs time alone.
 */
export async function takeLock(path: string): Promise<Lock | undefined> {
  const own: LockFile = { ...(await thisProcess()), id: randomUUID() };
  const text = JSON.stringify(own);
  const create = async (): Promise<boolean> => {
    // Written aside and linked, so that nobody ever reads half a lock.
    const aside = `${path}.${own.id}`;
    await writeFile(aside, text);
    try {
      await link(aside, path);
      return true;
    } catch (error) {
      if (errorCode(error) === "EEXIST") return false;
      throw error;
    } finally {
      await rm(aside, { force: true });
    }
  };
  if (!(await create())) {
    const left = await readLock(path);
    if (left && !(await isStale(left, path))) return undefined;
    if (left && !(await removeLeft(path, left))) return undefined;
    if (!(await create())) return undefined;
  }
  const heartbeat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {}); // a lock that is gone is no reason to stop
  }, 1000 * HEARTBEAT_SECONDS);
  heartbeat.unref();
  await removeAside(path);
  return {
    async release() {
      clearInterval(heartbeat);
      const found = await readLock(path);
      if (found && found.id === own.id) await rm(path, { force: true });
    },
  };
}

/** The process that holds a lock; undefined where nobody does. */
export async function lockOwner(path: string): Promise<Owner | undefined> {
  const left = await readLock(path);
  return left && !(await isStale(left, path)) ? left : undefined;
}

async function readLock(path: string): Promise<LockFile | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  const nobody = { pid: 0, host: "", id: "" };
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) && isOwner(value) && typeof value["id"] === "string"
      ? { ...value, id: value["id"] }
      : nobody;
  } catch {
    return nobody;
  }
}

async function isStale(left: LockFile, path: string): Promise<boolean> {
  if (left.pid === 0) return true; // no lock of pare
  const alive = await isAlive(left);
  if (alive !== undefined) return !alive;
  const info = await stat(path).catch(() => undefined);
  return info !== undefined && (await fileSystemNow(path)) - info.mtimeMs > 1000 * STALE_SECONDS;
}

/** Removes what processes that died while they took this lock wrote aside. */
async function removeAside(path: string): Promise<void> {
  const prefix = `${basename(path)}.`;
  for (const name of await readdir(dirname(path))) {
    if (!name.startsWith(prefix)) continue;
    const aside = join(dirname(path), name);
    const left = await readLock(aside);
    // One that nobody's name stands in yet is being written.
    if (left && left.pid !== 0 && (await isStale(left, aside))) await rm(aside, { force: true });
  }
}

/** The time as the file system's own machine has it, by which the other's heartbeat is dated. */
async function fileSystemNow(path: string): Promise<number> {
  const probe = `${path}.${randomUUID()}`;
  try {
    await writeFile(probe, "");
    return (await stat(probe)).mtimeMs;
  } finally {
    await rm(probe, { force: true });
  }
}

/** Moves a dead process's lock away; false where another process was first, whose lock is put back. */
async function removeLeft(path: string, left: LockFile): Promise<boolean> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (isMissing(error)) return true;
    throw error;
  }
  const isSame = (await readLock(aside))?.id === left.id;
  if (!isSame) await link(aside, path).catch(() => {});
  await rm(aside, { force: true });
  return isSame;
}
