import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { carriedModel } from "./carried.js";

export const TOKEN = "hf_ThisTokenMustNotBeSeenAnywhere";

/** A file of a repository. Large ones are served as the hub serves LFS and Xet: by a redirect to another host. */
interface ServedFile {
  readonly content: Uint8Array;
  readonly storage?: "git" | "lfs" | "xet";
  /** What the hub says of it, where that is to be wrong. */
  readonly claimed?: { readonly hash?: string; readonly size?: number };
}

interface ServedRepository {
  /** Files by their path, of each commit. */
  readonly commits: Readonly<Record<string, Readonly<Record<string, ServedFile>>>>;
  /** Branches, tags and the like. */
  readonly refs: Record<string, string>;
  /** Refuses whoever has no token, or also who has one. */
  readonly access?: "gated" | "gated for all" | "private";
}

interface SeenRequest {
  readonly server: "hub" | "storage";
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  /** Bytes of the body that were sent. */
  sent: number;
}

/** Answers in place of the server where it gives true. */
type Interceptor = (request: SeenRequest, response: ServerResponse) => boolean;

export interface HubServer {
  readonly url: string;
  readonly storageUrl: string;
  readonly repositories: Record<string, ServedRepository>;
  readonly requests: SeenRequest[];
  /** Forgets what was asked and what was to go wrong. */
  forget(): void;
  /** Requests so far that were for a file's content. */
  contentRequests(): SeenRequest[];
  /** What goes wrong. */
  readonly faults: {
    intercept?: Interceptor | undefined;
    /** Connections are cut after so many bytes of content. */
    cutAfter?: number | undefined;
    /** Content comes in chunks of so many bytes, with so many milliseconds between. */
    trickle?: { readonly bytes: number; readonly milliseconds: number } | undefined;
    ignoresRange?: boolean | undefined;
  };
  close(): Promise<void>;
}

/** Files of a page of a folder's list. */
const PAGE = 5;

export const sha256 = (content: Uint8Array) => createHash("sha256").update(content).digest("hex");
export const gitHash = (content: Uint8Array) =>
  createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");

const hashOf = ({ content, storage = "git", claimed }: ServedFile) =>
  claimed?.hash ?? (storage === "git" ? gitHash(content) : sha256(content));

/** The model that is carried, as the hub would store it. */
export function storiesFiles(): Record<string, ServedFile> {
  const names = readdirSync(carriedModel, { withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    names.map(({ name }): [string, ServedFile] => [
      name,
      {
        content: readFileSync(join(carriedModel, name)),
        storage: name.endsWith(".safetensors") ? "lfs" : "git",
      },
    ]),
  );
}

/** A server that speaks the hub's protocol, and a second one on another port for what the first redirects to. */
export async function startHub(repositories: Record<string, ServedRepository>): Promise<HubServer> {
  const requests: SeenRequest[] = [];
  const faults: HubServer["faults"] = {};
  let storageUrl = "";

  const listen = async (
    server: "hub" | "storage",
    answer: (seen: SeenRequest, response: ServerResponse) => unknown,
  ) => {
    const http = createServer((request, response) => {
      const { method = "", url = "", headers } = request;
      const seen: SeenRequest = { server, method, url, headers, sent: 0 };
      requests.push(seen);
      response.on("error", () => {});
      if (!faults.intercept?.(seen, response)) answer(seen, response);
    });
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
    return { http, url: `http://127.0.0.1:${(http.address() as AddressInfo).port}` };
  };

  const fail = (response: ServerResponse, status: number, code?: string, message?: string) => {
    response.writeHead(status, {
      ...(code && { "x-error-code": code }),
      ...(message && { "x-error-message": message }),
    });
    response.end();
  };

  /** Repository, commit and the rest of a path such as api/models/a/b/revision/main; undefined where it was refused. */
  function find(seen: SeenRequest, response: ServerResponse, type: string, name: string, revision: string) {
    const repository = repositories[type === "models" ? name : `datasets/${name}`];
    const hasToken = seen.headers.authorization === `Bearer ${TOKEN}`;
    if (seen.headers.authorization !== undefined && !hasToken) {
      return void fail(response, 401, undefined, "Invalid credentials in Authorization header");
    }
    if (!repository || (repository.access === "private" && !hasToken)) {
      return void fail(response, hasToken ? 404 : 401, "RepoNotFound", "Repository not found");
    }
    const decoded = decodeURIComponent(revision);
    const commit = repository.refs[decoded] ?? decoded;
    const files = repository.commits[commit];
    if (!files) return void fail(response, 404, "RevisionNotFound", `Invalid rev id: ${decoded}`);
    return { repository, commit, files, hasToken };
  }

  function answerHub(seen: SeenRequest, response: ServerResponse): unknown {
    const { pathname, searchParams } = new URL(seen.url, "http://hub");
    const json = (value: unknown, headers = {}) => {
      response.writeHead(200, { "content-type": "application/json", ...headers });
      response.end(JSON.stringify(value));
    };
    const api = /^\/api\/(models|datasets)\/([^/]+\/[^/]+)\/(revision|tree)\/([^/]+)(?:\/(.*))?$/.exec(pathname);
    if (api) {
      const [, type = "", name = "", what, revision = "", folder] = api;
      const found = find(seen, response, type, name, revision);
      if (!found) return undefined;
      const { commit, files } = found;
      if (what === "revision") {
        return json({ id: name, sha: commit, siblings: Object.keys(files).map((rfilename) => ({ rfilename })) });
      }
      const inFolder = folder === undefined ? "" : `${decodeURIComponent(folder)}/`;
      const isRecursive = searchParams.get("recursive")?.toLowerCase() === "true";
      const paths = Object.keys(files).filter((path) => path.startsWith(inFolder));
      const folders = new Set(
        paths.flatMap((path) => {
          const rest = path.slice(inFolder.length);
          return rest.includes("/") ? [inFolder + rest.slice(0, rest.indexOf("/"))] : [];
        }),
      );
      const listed = paths.filter(
        (path) => isRecursive || !path.slice(inFolder.length).includes("/") || path.includes(".."),
      );
      const entries = [
        ...[...folders].map((path) => ({ type: "directory", path, oid: "0".repeat(40), size: 0 })),
        ...listed.map((path) => {
          const file = files[path]!;
          const size = file.claimed?.size ?? file.content.length;
          if ((file.storage ?? "git") === "git") return { type: "file", path, oid: hashOf(file), size };
          const lfs = { oid: hashOf(file), size, pointerSize: 134 };
          return { type: "file", path, oid: gitHash(Buffer.from(path)), size, lfs };
        }),
      ];
      if (entries.length === 0) return fail(response, 404, "EntryNotFound");
      const begin = Number(searchParams.get("cursor") ?? 0);
      const rest = begin + PAGE < entries.length;
      // As behind a mirror: the hub's own name stands in the link.
      const next = `<https://huggingface.co${pathname}?cursor=${begin + PAGE}>; rel="next"`;
      return json(
        entries.slice(begin, begin + PAGE),
        rest ? { link: isRecursive ? next.replace("https://huggingface.co", url) : next } : {},
      );
    }
    const direct = /^\/api\/resolve-cache\/(models|datasets)\/([^/]+\/[^/]+)\/([^/]+)\/(.+)$/.exec(pathname);
    const resolve = /^\/(datasets\/)?([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(pathname);
    const [type, name, revision, path] = direct
      ? direct.slice(1)
      : [resolve?.[1] ? "datasets" : "models", resolve?.[2], resolve?.[3], resolve?.[4]];
    if (!type || !name || !revision || !path) return fail(response, 404);
    const found = find(seen, response, type, name, revision);
    if (!found) return undefined;
    const { repository, commit, files, hasToken } = found;
    if (repository.access === "gated for all" || (repository.access === "gated" && !hasToken)) {
      return fail(response, hasToken ? 403 : 401, "GatedRepo", "Access to this model is restricted.");
    }
    const file = files[decodeURIComponent(path)];
    if (!file) return fail(response, 404, "EntryNotFound", "Entry not found");
    const etag = `"${hashOf(file)}"`;
    const size = String(file.claimed?.size ?? file.content.length);
    const headers = { "x-repo-commit": commit, "x-linked-etag": etag, "x-linked-size": size, etag };
    const storage = file.storage ?? "git";
    if (storage === "git") {
      if (direct) return sendContent(seen, response, file, headers);
      response.writeHead(307, { ...headers, location: `/api/resolve-cache/${type}/${name}/${commit}/${path}` });
      return response.end();
    }
    const xet =
      storage === "xet" ? { "x-xet-hash": sha256(file.content), link: `<${url}/api/xet>; rel="xet-auth"` } : {};
    const location = `${storageUrl}/${storage}/${type}/${name}/${commit}/${path}?Signature=secret`;
    response.writeHead(302, { ...headers, ...xet, location });
    return response.end();
  }

  function answerStorage(seen: SeenRequest, response: ServerResponse): unknown {
    const match = /^\/(?:lfs|xet)\/(models|datasets)\/([^/]+\/[^/]+)\/([^/]+)\/([^?]+)/.exec(seen.url);
    const [, type, name = "", commit = "", path = ""] = match ?? [];
    const repository = repositories[type === "models" ? name : `datasets/${name}`];
    const file = repository?.commits[commit]?.[decodeURIComponent(path)];
    if (!file) return fail(response, 403);
    return sendContent(seen, response, file, { etag: '"of-the-storage"' });
  }

  async function sendContent(
    seen: SeenRequest,
    response: ServerResponse,
    { content }: ServedFile,
    headers: Readonly<Record<string, string>>,
  ): Promise<unknown> {
    const range = faults.ignoresRange ? null : /^bytes=(\d+)-(\d*)$/.exec(seen.headers.range ?? "");
    const begin = Number(range?.[1] ?? 0);
    if (range && begin >= content.length) {
      response.writeHead(416, { "content-range": `bytes */${content.length}` });
      return response.end();
    }
    const end = range?.[2] ? Math.min(Number(range[2]) + 1, content.length) : content.length;
    const part = content.subarray(begin, end);
    const place = range ? { "content-range": `bytes ${begin}-${end - 1}/${content.length}` } : {};
    response.writeHead(range ? 206 : 200, { ...headers, ...place, "content-length": part.length });
    if (seen.method === "HEAD") return response.end();
    const { bytes, milliseconds } = faults.trickle ?? { bytes: 65_536, milliseconds: 0 };
    for (let at = 0; at < part.length && !response.destroyed; at += bytes) {
      if (faults.cutAfter !== undefined && at >= faults.cutAfter) return response.destroy();
      const most = faults.cutAfter === undefined ? bytes : Math.min(bytes, faults.cutAfter - at);
      const chunk = part.subarray(at, at + most);
      await new Promise<void>((resolve) => {
        if (response.write(chunk)) resolve();
        else {
          const go = () => {
            response.off("drain", go).off("close", go);
            resolve();
          };
          response.on("drain", go).on("close", go);
        }
      });
      seen.sent += chunk.length;
      if (milliseconds > 0) await wait(milliseconds);
    }
    return response.end();
  }

  const hub = await listen("hub", answerHub);
  const storage = await listen("storage", answerStorage);
  const { url } = hub;
  storageUrl = storage.url;
  const stop = (http: Server) =>
    new Promise<void>((resolve) => {
      http.close(() => resolve());
      http.closeAllConnections();
    });
  return {
    url,
    storageUrl,
    repositories,
    requests,
    contentRequests: () => requests.filter(({ url }) => /^\/(lfs|xet|api\/resolve-cache)\//.test(url)),
    faults,
    forget() {
      requests.length = 0;
      for (const key of Object.keys(faults)) delete faults[key as keyof HubServer["faults"]];
    },
    async close() {
      await stop(hub.http);
      await stop(storage.http);
    },
  };
}
