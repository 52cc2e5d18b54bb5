import { join } from "node:path";
import { InputError, RunError } from "../errors.js";
import { commitOf, listFolder } from "./api.js";
import { knownCommit, rememberCommit, sizeOf, snapshotFolder } from "./cache.js";
import { fetchFiles } from "./fetch-files.js";
import { goOnWithCopy, type HubContext } from "./http.js";
import { COMMIT, type RepositoryFile, repositoryName } from "./names.js";

/** A file of the hub in the cache, and the commit at which it is that. */
interface CachedFile {
  readonly path: string;
  readonly commit: string;
}

/**
 * One file of a repository, downloaded where it is not there; at a commit, which does not change, the hub is not asked again.
 * Throws InputError, RunError, AbortError.
 */
export async function bringFile(file: RepositoryFile, context: HubContext): Promise<CachedFile> {
  const { repository, path } = file;
  const { cache, isOffline } = context.settings;
  const placed = (commit: string): CachedFile => ({
    path: join(snapshotFolder(cache, repository, commit), ...path.split("/")),
    commit,
  });
  const known = await knownCommit(cache, repository);
  const kept = known === undefined ? undefined : placed(known);
  const isKept = kept !== undefined && (await sizeOf(kept.path)) !== undefined;
  if (isKept && (isOffline || COMMIT.test(repository.revision))) return kept;
  if (isOffline) {
    const name = `${repositoryName(repository)}: ${path}`;
    throw new InputError(`${name}: not in the hub's cache, ${cache}; unset HF_HUB_OFFLINE to download it`);
  }
  try {
    return placed(await downloadFile(file, context, isKept ? 1 : undefined));
  } catch (error) {
    if (!(error instanceof RunError) || !isKept) throw error;
    goOnWithCopy(error, kept.commit, context);
    return kept;
  }
}

async function downloadFile(
  { repository, path }: RepositoryFile,
  context: HubContext,
  tries: number | undefined,
): Promise<string> {
  const { revision } = repository;
  const commit = COMMIT.test(revision) ? revision : await commitOf(repository, context, tries);
  const folder = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
  const file = (await listFolder(repository, commit, folder, context, tries)).find((one) => one.path === path);
  if (file === undefined) throw new InputError(`${repositoryName(repository)}: has no file ${path}`);
  await fetchFiles(repository, commit, [file], context);
  await rememberCommit(context.settings.cache, repository, commit);
  return commit;
}
