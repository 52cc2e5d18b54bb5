import { randomUUID } from "node:crypto";
import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { errorCode, isMissing } from "./folder.js";
import { isObject } from "./json.js";
import { isOwner, type Owner, thisProcess } from "./owner.js";

/** What a lock file says: whose it is, and which of his. */
export interface LockFile extends Owner {
  readonly id: string;
}

/** A lock that nobody has yet. */
export async function newLock(): Promise<LockFile> {
  return { ...(await thisProcess()), id: randomUUID() };
}

/** Puts a lock's file where there is none; false where there is one. */
export async function createLockFile(path: string, lock: LockFile): Promise<boolean> {
  // Written aside and linked, so that nobody ever reads half a lock.
  const aside = `${path}.${lock.id}`;
  const text = JSON.stringify(lock);
  try {
    await writeFile(aside, text);
    // Some file systems have no links.
    await link(aside, path).catch((error) => {
      if (errorCode(error) === "EEXIST") throw error;
      return writeFile(path, text, { flag: "wx" });
    });
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  } finally {
    await rm(aside, { force: true });
  }
}

/** The lock that a file holds; `nobody` for a file that holds none, undefined where there is no file. */
export async function readLockFile(path: string): Promise<LockFile | "nobody" | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) && isOwner(value) && typeof value["id"] === "string"
      ? { ...value, id: value["id"] }
      : "nobody";
  } catch {
    return "nobody";
  }
}

/** Takes a dead process's lock away; false where another process was first, whose lock is put back. */
export async function removeLockFile(path: string, left: LockFile | "nobody"): Promise<boolean> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (isMissing(error)) return true;
    throw error;
  }
  const found = await readLockFile(aside);
  const isSame = idOf(found) === idOf(left);
  if (!isSame) await link(aside, path).catch(() => {});
  await rm(aside, { force: true });
  return isSame;
}

/** Which lock it is. */
export function idOf(lock: LockFile | "nobody" | undefined): string | undefined {
  return typeof lock === "object" ? lock.id : lock;
}
