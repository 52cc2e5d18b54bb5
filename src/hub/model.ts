import { stat } from "node:fs/promises";
import { join } from "node:path";
import { belongsToAnyWeights } from "../checkpoint/copied.js";
import { CONFIG_FILE, INDEX_FILE, RECORD_FILE, SINGLE_FILE } from "../checkpoint/layout.js";
import { noWeights, readIndex } from "../checkpoint/open.js";
import { InputError, RunError } from "../errors.js";
import { commitOf, listFolder, type RemoteFile } from "./api.js";
import { knownCommit, rememberCommit, sizeOf, snapshotFolder } from "./cache.js";
import { fetchFiles } from "./fetch-files.js";
import { bringFile } from "./file.js";
import { goOnWithCopy, type HubContext, type HubOptions, hubContext } from "./http.js";
import { COMMIT, DEFAULT_REVISION, parseModelFile, parseModelName, type Repository, repositoryName } from "./names.js";

/** Files that an error names. */
const MAX_LISTED = 8;

export interface ModelOptions extends HubOptions {
  /** Of a model of the hub, where its name has none. */
  readonly revision?: string | undefined;
}

/**
 * The folder of a model: `model` itself where something of that name is there, or else the snapshot in the hub's cache of
 * `org/name` or `org/name@revision`, to which what is missing is downloaded first; `org/name[@revision]/file.gguf` is one file. What can be no name of the hub comes back as it
 * is, for openCheckpoint to explain. hubOrigin says of the folder where it is from. Throws InputError, RunError, AbortError.
 */
export async function resolveModel(model: string, { revision, ...options }: ModelOptions = {}): Promise<string> {
  const isThere = await stat(model).then(
    () => true,
    () => false,
  );
  const named = isThere ? undefined : (parseModelName(model) ?? parseModelFile(model));
  if (named === undefined) {
    if (revision === undefined) return model;
    throw new InputError(`--revision ${revision}: is for a model of the hub, org/name; ${model} is none`);
  }
  const context = await hubContext(options);
  if (!("path" in named)) return bringModel(withRevision(named, revision, model), context);
  const repository = withRevision(named.repository, revision, model);
  return (await bringFile({ repository, path: named.path }, context)).path;
}

/** Both ways to say a revision are one. */
function withRevision(named: Repository, revision: string | undefined, model: string): Repository {
  if (revision === undefined) return named;
  const asked = parseModelName(`${named.name}@${revision}`)!;
  if (model.includes("@") && named.revision !== asked.revision) {
    throw new InputError(`${model}: --revision says ${revision}; give one of them`);
  }
  return asked;
}

async function bringModel(repository: Repository, context: HubContext): Promise<string> {
  const { cache, isOffline } = context.settings;
  const known = await knownCommit(cache, repository);
  const kept = known === undefined ? undefined : snapshotFolder(cache, repository, known);
  const isKept = kept !== undefined && (await isWhole(kept));
  const { name, revision } = repository;
  if (isOffline) {
    if (isKept) return kept;
    const at = revision === DEFAULT_REVISION ? "" : ` at ${revision}`;
    throw new InputError(
      `${name}: no such folder, and no whole copy${at} in the hub's cache, ${cache}; unset HF_HUB_OFFLINE to download it`,
    );
  }
  let commit: string;
  let files: RemoteFile[];
  try {
    // Where there is a copy, a hub that does not answer is not waited for.
    const tries = isKept ? 1 : undefined;
    commit = COMMIT.test(revision) ? revision : await commitOf(repository, context, tries);
    files = await listFolder(repository, commit, "", context, tries);
  } catch (error) {
    if (!(error instanceof RunError) || !isKept) throw error;
    goOnWithCopy(error, known!, context);
    return kept;
  }
  await fetchModel(repository, commit, files, context);
  await rememberCommit(cache, repository, commit);
  return snapshotFolder(cache, repository, commit);
}

/** The files that a model needs and no others: the weights once, as safetensors, and what stands beside them. */
async function fetchModel(
  repository: Repository,
  commit: string,
  files: readonly RemoteFile[],
  context: HubContext,
): Promise<void> {
  const name = repositoryName(repository);
  const byName = new Map(files.map((file) => [file.path, file]));
  const weights = byName.get(SINGLE_FILE) ?? byName.get(INDEX_FILE);
  if (weights === undefined) {
    const names = [...byName.keys()];
    const packed = names.filter((file) => file.endsWith(".gguf"));
    if (packed.length > 0) {
      const some = packed.slice(0, MAX_LISTED).map((file) => `${repository.name}/${file}`);
      throw new InputError(
        `${name}: holds GGUF files; name one of them: ${some.join(", ")}${packed.length > MAX_LISTED ? ", ..." : ""}`,
      );
    }
    throw names.some((file) => file.endsWith(".safetensors"))
      ? new InputError(`${name}: has neither ${SINGLE_FILE} nor ${INDEX_FILE}; choose a repository of a whole model`)
      : noWeights(repository.name, names);
  }
  if (!byName.has(CONFIG_FILE))
    throw new InputError(`${name}: has no ${CONFIG_FILE}; choose a repository of a whole model`);
  const beside = files.filter(({ path }) => !path.includes("/") && (belongsToAnyWeights(path) || path === RECORD_FILE));
  await fetchFiles(repository, commit, weights.path === SINGLE_FILE ? [...beside, weights] : [weights], context);
  if (weights.path === SINGLE_FILE) return;

  const index = await readIndex(snapshotFolder(context.settings.cache, repository, commit));
  const shards = [...new Set(index?.values())].sort().map((shard) => {
    const file = byName.get(shard);
    if (file === undefined) throw new InputError(`${name}: ${INDEX_FILE} names ${shard}, and there is no such file`);
    return file;
  });
  await fetchFiles(repository, commit, [...beside, ...shards], context);
}

/** Whether a snapshot has config and weights; a tokenizer it may do without. */
async function isWhole(folder: string): Promise<boolean> {
  const has = async (name: string) => (await sizeOf(join(folder, name))) !== undefined;
  if (!(await has(CONFIG_FILE))) return false;
  if (await has(SINGLE_FILE)) return true;
  try {
    const shards = new Set((await readIndex(folder))?.values());
    for (const shard of shards) if (!(await has(shard))) return false;
    return shards.size > 0;
  } catch (error) {
    if (error instanceof InputError) return false; // an index that cannot be read is none
    throw error;
  }
}
