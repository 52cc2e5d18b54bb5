import { randomUUID } from "node:crypto";
import { readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { createLockFile, type LockFile, newLock, readLockFile, removeLockFile } from "./lock-file.js";
import { isAlive } from "./owner.js";

/** How often a lock says that its process works on, and after how long without it another machine's is taken over. */
const HEARTBEAT_SECONDS = 15;
const STALE_SECONDS = 600;

/** The right of one process to compute one thing. */
export interface Lock {
  release(): Promise<void>;
}

/**
 * Takes the lock whose file is `path`; undefined where another process holds it. What a dead process left is taken over.
 * Locks save work and protect nothing: what is computed under them is written whole, and the same whoever computes it, so
 * that the rare case of two who take over at one moment costs time alone.
 */
export async function takeLock(path: string): Promise<Lock | undefined> {
  const own = await newLock();
  if (!(await createLockFile(path, own))) {
    const left = await readLockFile(path);
    if (left && !(await isStale(left, path))) return undefined;
    if (left && !(await removeLockFile(path, left))) return undefined;
    if (!(await createLockFile(path, own))) return undefined;
  }
  const heartbeat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {}); // a lock that is gone is no reason to stop
  }, 1000 * HEARTBEAT_SECONDS);
  heartbeat.unref();
  const lock = {
    async release() {
      clearInterval(heartbeat);
      const found = await readLockFile(path);
      if (typeof found === "object" && found.id === own.id) await rm(path, { force: true });
    },
  };
  try {
    await removeAside(path);
  } catch (error) {
    await lock.release();
    throw error;
  }
  return lock;
}

async function isStale(left: LockFile | "nobody", path: string): Promise<boolean> {
  if (left === "nobody") return true;
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
    const left = await readLockFile(aside);
    // One that nobody's name stands in yet is being written.
    if (typeof left === "object" && (await isStale(left, aside))) await rm(aside, { force: true });
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
