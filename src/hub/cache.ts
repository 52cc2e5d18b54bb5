import { mkdir, readFile, rm, stat, symlink } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { errorCode, isMissing } from "../checkpoint/folder.js";
import { linkFile, replaceBy, replaceFile } from "../files.js";
import { COMMIT, type Repository } from "./names.js";

/** Where a model of the hub was taken from: enough to take it from there again. */
export interface HubOrigin {
  /** `org/name` */
  readonly name: string;
  readonly commit: string;
  /** Of a model that is one file of several. */
  readonly file?: string;
}

/** models--ORG--NAME, as huggingface_hub calls a repository's folder in the cache. */
function repositoryFolder(cache: string, { type, name }: Repository): string {
  return join(cache, folderName({ type, name }));
}

function folderName({ type, name }: Pick<Repository, "type" | "name">): string {
  return [`${type}s`, ...name.split("/")].join("--");
}

/** A repository's files at one commit, under their names; what stands there are links into blobs/. */
export function snapshotFolder(cache: string, repository: Repository, commit: string): string {
  return join(repositoryFolder(cache, repository), "snapshots", commit);
}

/** A file's content, named by its hash. */
export function blobPath(cache: string, repository: Repository, hash: string): string {
  return join(repositoryFolder(cache, repository), "blobs", hash);
}

/** The lock under which pare writes a blob. huggingface_hub's own locks, of another kind, lie beside it. */
export function blobLock(cache: string, repository: Repository, hash: string): string {
  return join(cache, ".locks", folderName(repository), `${hash}.pare.lock`);
}

/** The commit that the revision was when it was last asked for; undefined where it never was. */
export async function knownCommit(cache: string, repository: Repository): Promise<string | undefined> {
  if (COMMIT.test(repository.revision)) return repository.revision;
  try {
    const commit = (await readFile(referencePath(cache, repository), "utf8")).trim();
    return COMMIT.test(commit) ? commit : undefined;
  } catch (error) {
    if (isMissing(error) || errorCode(error) === "EISDIR") return undefined;
    throw error;
  }
}

export async function rememberCommit(cache: string, repository: Repository, commit: string): Promise<void> {
  if (repository.revision === commit || (await knownCommit(cache, repository)) === commit) return;
  const path = referencePath(cache, repository);
  await mkdir(dirname(path), { recursive: true });
  await replaceFile(path, commit);
}

function referencePath(cache: string, repository: Repository): string {
  return join(repositoryFolder(cache, repository), "refs", ...repository.revision.split("/"));
}

/** Bytes of a file, links followed; undefined where there is none. */
export async function sizeOf(path: string): Promise<number | undefined> {
  const info = await stat(path).catch(() => undefined);
  return info?.isFile() ? info.size : undefined;
}

/** Gives a blob its name in a snapshot: by a relative link, or by a second name where the system has no links. */
export async function placeBlob(blob: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const target = relative(dirname(path), blob);
  try {
    await symlink(target, path);
  } catch (error) {
    if (errorCode(error) === "EEXIST") await replaceBy(path, (partial) => symlink(target, partial));
    else await linkFile(blob, path);
  }
}

/** Removes a name in a snapshot with the blob that it leads to. */
export async function removePlaced(blob: string, path: string): Promise<void> {
  await rm(path, { force: true });
  await rm(blob, { force: true });
}

/** The model of which a folder, or a file in it, is a snapshot in a cache of the hub; undefined for any other. */
export function hubOrigin(path: string): HubOrigin | undefined {
  const parts = resolve(path).split(sep);
  const at = parts.lastIndexOf("snapshots");
  const [folder = "", , commit = "", ...file] = parts.slice(at - 1);
  const [type, ...names] = folder.split("--");
  if (at < 1 || type !== "models" || names.length < 1 || names.length > 2 || !COMMIT.test(commit)) return undefined;
  return { name: names.join("/"), commit, ...(file.length > 0 ? { file: file.join("/") } : {}) };
}
