import { mkdir, statfs } from "node:fs/promises";
import { join } from "node:path";
import { InputError, RunError, throwIfAborted } from "../errors.js";
import { atOnce } from "../turns.js";
import type { RemoteFile } from "./api.js";
import { blobPath, placeBlob, removePlaced, sizeOf, snapshotFolder } from "./cache.js";
import { downloadBlob } from "./download.js";
import type { HubContext } from "./http.js";
import { checkPath, type Repository, repositoryName } from "./names.js";

const MAX_CONNECTIONS = 4;

/**
 * Brings files of a repository into its snapshot in the cache; those that are there already are left alone. Throws
 * InputError for a name or a hash that no file of a repository has, RunError where the disk has no room for them.
 */
export async function fetchFiles(
  repository: Repository,
  commit: string,
  files: readonly RemoteFile[],
  context: HubContext,
): Promise<void> {
  const { cache } = context.settings;
  const name = repositoryName(repository);
  const folder = snapshotFolder(cache, repository, commit);
  const wanted: { readonly file: RemoteFile; readonly path: string; readonly blob: string }[] = [];
  for (const file of files) {
    checkPath(file.path, name);
    if (!/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(file.hash)) {
      throw new InputError(`${name}: ${file.path}: the hub gives no hash to check it by; check HF_ENDPOINT`);
    }
    const path = join(folder, ...file.path.split("/"));
    const size = await sizeOf(path);
    if (size === file.size) continue;
    const blob = blobPath(cache, repository, file.hash);
    if (size !== undefined) await removePlaced(blob, path); // cut short, by a full disk say
    if ((await sizeOf(blob)) === file.size) await placeBlob(blob, path);
    else wanted.push({ file, path, blob });
  }
  if (wanted.length === 0) return;

  const total = wanted.reduce((sum, { file }) => sum + file.size, 0);
  await checkRoom(cache, total, name);
  context.onProgress({ kind: "start", what: `downloading ${name}`, total, unit: "bytes" });
  const bytes = new Map<RemoteFile, number>();
  let reported = 0;
  const report = (note?: string) => {
    const done = [...bytes.values()].reduce((sum, value) => sum + value, 0);
    if (note === undefined && done - reported < total / 1000) return;
    reported = done;
    context.onProgress({ kind: "step", done, ...(note === undefined ? {} : { note }) });
  };
  throwIfAborted(context.signal);
  // The first failure ends the other connections too.
  const failure = new AbortController();
  const stop = () => failure.abort();
  context.signal?.addEventListener("abort", stop);
  const fetchOne = async ({ file, path, blob }: (typeof wanted)[number]): Promise<void> => {
    try {
      await downloadBlob(repository, commit, file, { ...context, signal: failure.signal }, (count) => {
        bytes.set(file, count);
        report();
      });
      await placeBlob(blob, path);
      report(file.path);
    } catch (error) {
      stop();
      throw error;
    }
  };
  try {
    await atOnce(wanted, MAX_CONNECTIONS, fetchOne);
  } finally {
    context.signal?.removeEventListener("abort", stop);
  }
}

/** Free space is asked of the nearest folder that is there. */
async function checkRoom(cache: string, bytes: number, name: string): Promise<void> {
  await mkdir(cache, { recursive: true });
  const { bavail, bsize } = await statfs(cache);
  if (bavail * bsize >= bytes) return;
  throw new RunError(
    `${name}: takes ${bytes} bytes and ${cache} has room for ${bavail * bsize}; make room, or name another folder by HF_HUB_CACHE`,
  );
}
