import { type FileHandle, open, realpath, stat } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative, sep } from "node:path";
import { InputError } from "../errors.js";
import { quote } from "./json.js";

/** What one read may ask the system for. */
const MAX_READ_BYTES = 2 ** 30;

/** Whether `path` is `folder` or lies inside it; both absolute and without links. */
export function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way === "" || (way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way));
}

/** Throws InputError unless `name`, which stands in `source`, is the plain name of a file: no path, no "..". */
export function checkPlainName(name: string, source: string): void {
  if (name === "" || name === "." || name === ".." || /[/\\:\0]/.test(name)) {
    throw new InputError(`${source}: names the file ${quote(name)}; only plain names of files beside it are allowed`);
  }
}

/**
 * The file `name` of a checkpoint's folder without links, or undefined if there is none. A link may stay in the folder or, in
 * the hub's cache, lead from models--ORG--NAME/snapshots/COMMIT to models--ORG--NAME/blobs or to what several repositories
 * share; any other throws InputError, as does what is no regular file.
 */
export async function resolveFile(directory: string, name: string): Promise<string | undefined> {
  const path = join(directory, name);
  let target: string;
  let root: string;
  try {
    [target, root] = await Promise.all([realpath(path), realpath(directory)]);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw unreadable(path, error);
  }
  if (!isInside(target, root) && !isBlob(target, root)) {
    throw new InputError(`${path}: is a link that leaves the folder; put the file itself there`);
  }
  if (!(await stat(target)).isFile()) throw new InputError(`${path}: is not a regular file; put the file itself there`);
  return target;
}

/**
 * Whether `target` is what a file of a snapshot in the hub's cache leads to: models--ORG--NAME/blobs/HASH, or where
 * huggingface_hub keeps what several repositories have in common, blobs/HA/HASH beside models--ORG--NAME.
 */
function isBlob(target: string, root: string): boolean {
  const snapshots = dirname(root);
  const repository = dirname(snapshots);
  if (basename(snapshots) !== "snapshots" || !/^models--./.test(basename(repository))) return false;
  const isOwn = dirname(target) === join(repository, "blobs");
  const isShared = dirname(dirname(target)) === join(dirname(repository), "blobs");
  const name = basename(target);
  return isOwn || (isShared && /^[0-9a-f]{64}$/.test(name) && basename(dirname(target)) === name.slice(0, 2));
}

/** A whole small file of a checkpoint's folder, or undefined if there is none. Throws InputError if it is over `limit` bytes. */
export async function readSmallFile(directory: string, name: string, limit: number): Promise<Uint8Array | undefined> {
  const target = await resolveFile(directory, name);
  if (target === undefined) return undefined;
  const path = join(directory, name);
  const handle = await openFile(target, path);
  try {
    const { size } = await handle.stat();
    if (size > limit) throw new InputError(`${path}: has ${size} bytes, more than the limit of ${limit}`);
    const bytes = new Uint8Array(size);
    await readExactly(handle, bytes, 0, path);
    return bytes;
  } finally {
    await handle.close();
  }
}

/** Opens for reading; what the system refuses becomes an InputError naming `path`. */
export async function openFile(target: string, path: string): Promise<FileHandle> {
  try {
    return await open(target, "r");
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** Fills `buffer` from `position` on. Throws InputError naming `path` if the file ends before, or cannot be read. */
export async function readExactly(
  handle: FileHandle,
  buffer: Uint8Array,
  position: number,
  path: string,
): Promise<void> {
  for (let done = 0; done < buffer.length; ) {
    const rest = Math.min(buffer.length - done, MAX_READ_BYTES);
    const { bytesRead } = await handle.read(buffer, done, rest, position + done).catch((error: unknown) => {
      throw unreadable(path, error);
    });
    if (bytesRead === 0) throw new InputError(`${path}: ended early; it was changed while pare was reading it`);
    done += bytesRead;
  }
}

/** Writes all of `bytes` from `position` on. */
export async function writeExactly(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}

export function isMissing(error: unknown): boolean {
  const code = errorCode(error);
  return code === "ENOENT" || code === "ENOTDIR";
}

/** The name of an error that the operating system gave ("ENOENT"), undefined for any other error. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("syscall" in error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** What the system would not let pare read, as an error for the user. */
export function unreadable(path: string, cause: unknown): InputError {
  return new InputError(
    `${path}: cannot be read (${errorCode(cause) ?? String(cause)}); check it and its permissions`,
    {
      cause,
    },
  );
}
