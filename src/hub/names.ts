import { quote } from "../checkpoint/json.js";
import { InputError } from "../errors.js";

/** A repository of the hub at a revision: a branch, a tag, a commit or `refs/pr/1`. */
export interface Repository {
  readonly type: "model" | "dataset";
  /** `org/name` */
  readonly name: string;
  readonly revision: string;
}

/** A file of a repository; `path` has slashes on every system. */
export interface RepositoryFile {
  readonly repository: Repository;
  readonly path: string;
}

export const DEFAULT_REVISION = "main";
export const DATASET_PREFIX = "hf://datasets/";
export const COMMIT = /^[0-9a-f]{40}$/;

/** Of an organisation or a repository; huggingface_hub takes 96 characters for both together. */
const MAX_NAME = 96;
const MAX_REVISION = 200;
const MAX_PATH = 1000;

/**
 * `org/name` or `org/name@revision` as a model of the hub; undefined for what cannot be one, a path such as ./models/a say.
 * Throws InputError for a model's name with a revision that none can have.
 */
export function parseModelName(text: string): Repository | undefined {
  const at = text.indexOf("@");
  const name = at < 0 ? text : text.slice(0, at);
  if (!isRepositoryName(name)) return undefined;
  const revision = at < 0 ? DEFAULT_REVISION : text.slice(at + 1);
  checkRevision(revision, text);
  return { type: "model", name, revision };
}

/** `hf://datasets/org/name[@revision]/path/in/repo`. Throws InputError for anything else. */
export function parseDatasetFile(text: string): RepositoryFile {
  const file = text.startsWith(DATASET_PREFIX) ? parseFile("dataset", text.slice(DATASET_PREFIX.length)) : undefined;
  if (file === undefined) {
    throw new InputError(
      `${quote(text)}: not a file of the hub; write it hf://datasets/org/name/path/in/repo, with @revision after the name if need be`,
    );
  }
  return file;
}

/** `org/name[@revision]/path/in/repo.gguf` as a file of a model's repository; undefined for anything else. */
export function parseModelFile(text: string): RepositoryFile | undefined {
  return text.endsWith(".gguf") ? parseFile("model", text) : undefined;
}

function parseFile(type: Repository["type"], text: string): RepositoryFile | undefined {
  const match = /^([^/@]+\/[^/@]+)(?:@(refs\/[^/]+\/[^/]+|[^/]+))?\/(.+)$/.exec(text);
  const [, name = "", revision = DEFAULT_REVISION, path = ""] = match ?? [];
  if (!match || !isRepositoryName(name)) return undefined;
  const decoded = revision.replace(/%2f/gi, "/");
  checkRevision(decoded, text);
  checkPath(path, text);
  return { repository: { type, name, revision: decoded }, path };
}

/** `org/name@revision`, or the data set's address; the inverse of the two above. */
export function repositoryName({ type, name, revision }: Repository): string {
  const prefix = type === "dataset" ? DATASET_PREFIX : "";
  return revision === DEFAULT_REVISION ? prefix + name : `${prefix}${name}@${revision}`;
}

/** What huggingface_hub takes for a repository's name, and always with its organisation. */
function isRepositoryName(name: string): boolean {
  const isPart = (part: string) => /^[A-Za-z0-9_](?:[\w.-]*[A-Za-z0-9_])?$/.test(part);
  const parts = name.split("/");
  return (
    parts.length === 2 &&
    name.length <= MAX_NAME &&
    parts.every(isPart) &&
    !/--|\.\./.test(name) &&
    !/\.git$/.test(name)
  );
}

/** Throws InputError for a name that git would not give a branch or a tag; it becomes a path in the cache. */
function checkRevision(revision: string, source: string): void {
  const isRevision =
    revision.length <= MAX_REVISION &&
    revision
      .split("/")
      .every((part) => /^[\w+][\w.+=-]*$/.test(part) && !part.includes("..") && !/\.(lock)?$/.test(part));
  if (!isRevision) {
    throw new InputError(`${quote(source)}: ${quote(revision)} is no revision; give a branch, a tag or a commit`);
  }
}

/** Throws InputError for a path that leaves the repository's folder, or would on some system; `source` says where it stands. */
export function checkPath(path: string, source: string): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  const isPart = (part: string) => part !== "" && part !== "." && part !== ".." && !/[\\:\u0000-\u001f]/.test(part);
  if (path.length > MAX_PATH || !path.split("/").every(isPart)) {
    throw new InputError(
      `${quote(source)}: names the file ${quote(path)}, which would not lie in the repository's folder`,
    );
  }
}
