import { createHash, type Hash } from "node:crypto";
import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { errorCode } from "../checkpoint/folder.js";
import { takeLock } from "../checkpoint/lock.js";
import { RunError, throwIfAborted } from "../errors.js";
import { contentUrl, type RemoteFile, subjectOf } from "./api.js";
import { blobLock, blobPath, sizeOf } from "./cache.js";
import { get, type HubContext, persistently, type Subject, TemporaryFailure } from "./http.js";
import type { Repository } from "./names.js";

const LOCK_POLL_SECONDS = 0.25;
const HASH_CHUNK_BYTES = 4 * 1024 ** 2;

/** Told how many of a file's bytes are there by now. */
type OnBytes = (bytes: number) => void;

/**
 * Puts a file's content into blobs/ under its hash. What an earlier try left is gone on with; length and hash are checked
 * before the blob gets its name. One process writes at a time, others wait for it. Throws InputError, RunError, AbortError.
 */
export async function downloadBlob(
  repository: Repository,
  commit: string,
  file: RemoteFile,
  context: HubContext,
  onBytes: OnBytes,
): Promise<void> {
  const { cache } = context.settings;
  const blob = blobPath(cache, repository, file.hash);
  const lockPath = blobLock(cache, repository, file.hash);
  for (const path of [blob, lockPath]) await mkdir(dirname(path), { recursive: true });
  const lock = await waitForLock(lockPath, file, context);
  try {
    if ((await sizeOf(blob)) !== file.size) {
      const subject = subjectOf(repository, context, file.path);
      const url = contentUrl(repository, commit, file.path, context);
      await fetchBlob({ file, subject, url, blob, context, onBytes });
    }
    onBytes(file.size);
  } finally {
    await lock.release();
  }
}

async function waitForLock(path: string, { path: name }: RemoteFile, { signal, onProgress }: HubContext) {
  for (let isFirst = true; ; isFirst = false) {
    throwIfAborted(signal);
    const lock = await takeLock(path);
    if (lock) return lock;
    if (isFirst) onProgress({ kind: "warning", message: `${name}: another process downloads it; waiting` });
    await wait(LOCK_POLL_SECONDS * 1000);
  }
}

interface Transfer {
  readonly file: RemoteFile;
  readonly subject: Subject;
  readonly url: string;
  readonly blob: string;
  readonly context: HubContext;
  readonly onBytes: OnBytes;
}

/** The first bytes of a file, on disk and hashed. */
interface Part {
  readonly path: string;
  handle: FileHandle;
  hash: Hash;
  size: number;
}

async function fetchBlob(transfer: Transfer): Promise<void> {
  const { file, subject, blob, context } = transfer;
  const where = `${subject.repository}: ${file.path}`;
  const part = await openPart(transfer);
  try {
    const hasLeftover = part.size > 0;
    if ((await completeHash(transfer, part, where)) !== file.hash) {
      // What lay there may have been anything's; what comes now is the hub's.
      if (hasLeftover) await startOver(part, file);
      const hash = hasLeftover ? await completeHash(transfer, part, where) : "another";
      if (hash !== file.hash) {
        await rm(part.path, { force: true });
        throw new RunError(
          `${where}: what came is not what the hub says it is (its hash is not ${file.hash}); it is deleted: try again, through no proxy`,
        );
      }
    }
    await part.handle.sync();
  } finally {
    await part.handle.close();
  }
  await rename(part.path, blob).catch(async (error: unknown) => {
    if ((await sizeOf(blob)) !== file.size) throw error; // another process was quicker
  });
  throwIfAborted(context.signal);
}

/** Fetches what is missing, however often the connection breaks, and gives the whole file's hash. */
async function completeHash({ file, ...transfer }: Transfer, part: Part, where: string): Promise<string> {
  let furthest = part.size;
  await persistently(where, transfer.context, async (gotFurther) => {
    if (part.size === file.size) return;
    await fetchRest({ file, ...transfer }, part, where, () => {
      if (part.size <= furthest) return;
      furthest = part.size;
      gotFurther();
    });
  });
  return part.hash.digest("hex");
}

async function fetchRest(
  { file, subject, url, context, onBytes }: Transfer,
  part: Part,
  where: string,
  onChunk: () => void,
): Promise<void> {
  const range = part.size === 0 ? undefined : `bytes=${part.size}-`;
  const exchange = await get(url, context, subject, range);
  try {
    if (range !== undefined && exchange.status !== 200) {
      const isRest =
        exchange.status === 206 && exchange.headers.get("content-range")?.startsWith(`bytes ${part.size}-`);
      if (!isRest) {
        await startOver(part, file);
        throw new TemporaryFailure("the server does not go on where it was asked to; beginning again");
      }
    } else if (part.size > 0) await startOver(part, file); // it sends the whole file all the same
    for await (const chunk of exchange.chunks()) {
      if (part.size + chunk.length > file.size) {
        await rm(part.path, { force: true });
        throw new RunError(
          `${where}: more came than the ${file.size} bytes that the hub says it has; it is deleted: try again, through no proxy`,
        );
      }
      await writeWhole(part, chunk);
      part.hash.update(chunk);
      part.size += chunk.length;
      onBytes(part.size);
      onChunk();
    }
  } finally {
    exchange.close();
  }
  if (part.size < file.size) {
    throw new TemporaryFailure(`the connection ended after ${part.size} of ${file.size} bytes`);
  }
}

/** At its place in the file: two processes that write one part after all write the same into it. */
async function writeWhole({ handle, size }: Part, chunk: Uint8Array): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    done += (await handle.write(chunk, done, chunk.length - done, size + done)).bytesWritten;
  }
}

/**
 * Opens what an earlier try left, or begins. The name ends in .incomplete as huggingface_hub's parts do and is not one of
 * theirs, which are written under locks that Node cannot take.
 */
async function openPart({ file, blob, context, onBytes }: Transfer): Promise<Part> {
  const path = `${blob}.pare.incomplete`;
  const handle = await open(path, "r+").catch((error: unknown) => {
    if (errorCode(error) === "ENOENT") return open(path, "w+");
    throw error;
  });
  const part: Part = { path, handle, hash: createBlobHash(file), size: 0 };
  const { size } = await handle.stat();
  if (size > file.size) await startOver(part, file);
  const buffer = new Uint8Array(HASH_CHUNK_BYTES);
  while (part.size < Math.min(size, file.size)) {
    throwIfAborted(context.signal);
    const { bytesRead } = await part.handle.read(buffer, 0, buffer.length, part.size);
    if (bytesRead === 0) break;
    part.hash.update(buffer.subarray(0, bytesRead));
    part.size += bytesRead;
    onBytes(part.size);
  }
  return part;
}

/** A new file: the old one may have become the blob by another process's hand, and must not be cut then. */
async function startOver(part: Part, file: RemoteFile): Promise<void> {
  await part.handle.close();
  await rm(part.path, { force: true });
  part.handle = await open(part.path, "w+");
  part.hash = createBlobHash(file);
  part.size = 0;
}

/** SHA-256 of a large file's content, SHA-1 of a small one's as git names it, by the length that the hash has. */
function createBlobHash({ hash, size }: RemoteFile): Hash {
  return hash.length === 64 ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
}
