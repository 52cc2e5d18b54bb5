import { z } from "zod";
import { RunError } from "../errors.js";
import { get, type HubContext, persistently, readJson, type Subject } from "./http.js";
import { COMMIT, type Repository, repositoryName } from "./names.js";

const MAX_REVISION_BYTES = 64 * 1024 ** 2; // it lists every file of the repository
const MAX_PAGE_BYTES = 16 * 1024 ** 2;
const MAX_PAGES = 200;

/** A file as the hub describes it. */
export interface RemoteFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Its name in blobs/: SHA-256 of a large file's content; SHA-1 of a small one's as git counts it. */
  readonly hash: string;
}

const revisionSchema = z.object({ sha: z.string().regex(COMMIT) });
const size = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
const treeSchema = z.array(
  z.object({
    type: z.string(),
    path: z.string(),
    oid: z.string().optional(),
    size: size.optional(),
    lfs: z.object({ oid: z.string(), size }).optional(),
  }),
);

export function subjectOf(repository: Repository, { settings }: HubContext, file?: string): Subject {
  const { type, name, revision } = repository;
  const page = `${settings.endpoint}/${webPath(repository)}`;
  return {
    repository: type === "dataset" ? repositoryName(repository) : name,
    type,
    revision,
    page,
    ...(file && { file }),
  };
}

/** The commit that a revision is now. Throws InputError where there is none, RunError where the hub is not reached. */
export async function commitOf(repository: Repository, context: HubContext, tries?: number): Promise<string> {
  const { name, type, revision } = repository;
  const url = `${context.settings.endpoint}/api/${type}s/${name}/revision/${encodeURIComponent(revision)}`;
  const answer = revisionSchema.safeParse(
    await getJson(url, MAX_REVISION_BYTES, subjectOf(repository, context), context, tries),
  );
  if (!answer.success) throw notAHub(repository);
  return answer.data.sha;
}

/** The files that lie in one folder of a repository, "" for its own, at a commit. Names are as the server sent them. */
export async function listFolder(
  repository: Repository,
  commit: string,
  folder: string,
  context: HubContext,
  tries?: number,
): Promise<RemoteFile[]> {
  const { name, type } = repository;
  const way = folder === "" ? "" : `/${encodePath(folder)}`;
  const first = new URL(`${context.settings.endpoint}/api/${type}s/${name}/tree/${commit}${way}`);
  const files: RemoteFile[] = [];
  let url: URL | undefined = first;
  for (let page = 0; url !== undefined; page++) {
    if (page === MAX_PAGES) throw new RunError(`${repositoryName(repository)}: its list of files does not end`);
    let link: string | null = null;
    const answer = await getJson(
      url.href,
      MAX_PAGE_BYTES,
      subjectOf(repository, context, folder),
      context,
      tries,
      (headers) => {
        link = headers.get("link");
      },
    );
    const entries = treeSchema.safeParse(answer);
    if (!entries.success) throw notAHub(repository);
    for (const { type, path, oid = "", size, lfs } of entries.data) {
      if (type === "file" && size !== undefined) files.push({ path, size: lfs?.size ?? size, hash: lfs?.oid ?? oid });
    }
    url = nextPage(first, link);
  }
  return files;
}

/** Where a file's content is. */
export function contentUrl(repository: Repository, commit: string, path: string, { settings }: HubContext): string {
  return `${settings.endpoint}/${webPath(repository)}/resolve/${commit}/${encodePath(path)}`;
}

async function getJson(
  url: string,
  limit: number,
  subject: Subject,
  context: HubContext,
  tries?: number,
  onHeaders?: (headers: Headers) => void,
): Promise<unknown> {
  const attempt = async () => {
    const exchange = await get(url, context, subject);
    onHeaders?.(exchange.headers);
    return readJson(exchange, limit, subject);
  };
  return persistently(subject.repository, context, attempt, tries);
}

/** The next page's address: only its query is taken from the server, which may call itself by another name behind a mirror. */
function nextPage(first: URL, link: string | null): URL | undefined {
  const target = /<([^>]*)>\s*;\s*rel="?next"?/.exec(link ?? "")?.[1];
  if (target === undefined || !URL.canParse(target, first.href)) return undefined;
  const url = new URL(first);
  url.search = new URL(target, first).search;
  return url;
}

function webPath({ type, name }: Repository): string {
  return type === "dataset" ? `datasets/${name}` : name;
}

function encodePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

function notAHub(repository: Repository): RunError {
  return new RunError(`${repositoryName(repository)}: the answer is not that of a hub; check HF_ENDPOINT`);
}
