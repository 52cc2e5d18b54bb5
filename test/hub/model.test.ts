import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open.js";
import { InputError, RunError } from "../../src/errors.js";
import { hubOrigin } from "../../src/hub/cache.js";
import { resolveModel } from "../../src/hub/model.js";
import type { HubSettings } from "../../src/hub/settings.js";
import type { ProgressEvent } from "../../src/progress.js";
import { carriedModel } from "../support/carried.js";
import { gitHash, type HubServer, sha256, startHub, storiesFiles, TOKEN } from "../support/hub-server.js";

const COMMIT = "a".repeat(40);
const OLDER = "b".repeat(40);
const text = (content: string) => ({ content: Buffer.from(content) });

let hub: HubServer;
let root: string;
let cache: string;
let count = 0;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "pare-hub-"));
  hub = await startHub({});
});
afterAll(async () => {
  await hub.close();
  await rm(root, { recursive: true, force: true });
});
beforeEach(() => {
  cache = join(root, `cache-${++count}`);
  hub.forget();
  for (const name of Object.keys(hub.repositories)) delete hub.repositories[name];
  const stories = storiesFiles();
  hub.repositories["pare/stories"] = {
    refs: { main: COMMIT, v1: OLDER, "refs/pr/1": OLDER, "feature/x": OLDER },
    commits: { [COMMIT]: stories, [OLDER]: { ...stories, "generation_config.json": text("{}") } },
  };
});

const settings = (changes: Partial<HubSettings> = {}): HubSettings => ({
  endpoint: hub.url,
  cache,
  isOffline: false,
  token: undefined,
  timeoutSeconds: 2,
  firstRetrySeconds: 0.01,
  ...changes,
});
const resolve = (name: string, changes: Partial<HubSettings> = {}, revision?: string) =>
  resolveModel(name, { settings: settings(changes), revision });
const folderOf = (commit: string) => join(cache, "models--pare--stories", "snapshots", commit);

describe("a model of the hub", () => {
  it("is laid down as huggingface_hub lays it down, and opens", async () => {
    const folder = await resolve("pare/stories");
    expect(folder).toBe(folderOf(COMMIT));
    for (const [name, { content, storage }] of Object.entries(storiesFiles())) {
      const hash = storage === "lfs" ? sha256(content) : gitHash(content);
      expect(await readlink(join(folder, name))).toBe(join("..", "..", "blobs", hash));
      expect(Buffer.compare(await readFile(join(folder, name)), content)).toBe(0);
    }
    expect(await readFile(join(cache, "models--pare--stories", "refs", "main"), "utf8")).toBe(COMMIT);
    const blobs = await readdir(join(cache, "models--pare--stories", "blobs"));
    expect(blobs).toHaveLength(Object.keys(storiesFiles()).length); // and nothing incomplete
    expect(await readdir(join(cache, ".locks", "models--pare--stories"))).toEqual([]);

    const [checkpoint, original] = await Promise.all([openCheckpoint(folder), openCheckpoint(carriedModel)]);
    expect(await checkpoint.hash()).toBe(await original.hash());
    await Promise.all([checkpoint.close(), original.close()]);
    expect(hubOrigin(folder)).toEqual({ name: "pare/stories", commit: COMMIT });
  });

  it("is downloaded once, and asked after again where it is at a branch", async () => {
    await resolve("pare/stories");
    const downloads = hub.contentRequests().length;
    await resolve("pare/stories");
    expect(hub.contentRequests()).toHaveLength(downloads);
    hub.repositories["pare/stories"]!.refs["main"] = OLDER;
    expect(await resolve("pare/stories")).toBe(folderOf(OLDER));
    // The files that both commits have are one blob.
    expect(hub.contentRequests()).toHaveLength(downloads + 1);
    expect(await readFile(join(cache, "models--pare--stories", "refs", "main"), "utf8")).toBe(OLDER);
  });

  it.each(["v1", "refs/pr/1", "feature/x", OLDER])("at the revision %s", async (revision) => {
    expect(await resolve(`pare/stories@${revision}`)).toBe(folderOf(OLDER));
    expect(await resolve("pare/stories", {}, revision)).toBe(folderOf(OLDER));
    expect(await resolve(`pare/stories@${revision}`, { isOffline: true })).toBe(folderOf(OLDER));
  });

  it("refuses two revisions that differ", async () => {
    await expect(resolve("pare/stories@v1", {}, "main")).rejects.toThrow(
      "pare/stories@v1: --revision says main; give one of them",
    );
    expect(await resolve("pare/stories@v1", {}, "v1")).toBe(folderOf(OLDER));
  });

  it("goes on offline with what is there, and says what is not", async () => {
    const offline = { isOffline: true };
    await expect(resolve("pare/stories", offline)).rejects.toThrow(
      `pare/stories: no such folder, and no whole copy in the hub's cache, ${cache}; unset HF_HUB_OFFLINE to download it`,
    );
    const folder = await resolve("pare/stories");
    hub.requests.length = 0;
    expect(await resolve("pare/stories", offline)).toBe(folder);
    await expect(resolve("pare/stories@v1", offline)).rejects.toThrow("no whole copy at v1 in the hub's cache");
    await rm(join(folder, "model.safetensors"));
    await expect(resolve("pare/stories", offline)).rejects.toThrow(InputError);
    expect(hub.requests).toEqual([]);
  });

  it("goes on with its copy where the hub is not reached, and says so", async () => {
    const folder = await resolve("pare/stories");
    const events: ProgressEvent[] = [];
    const dead = settings({ endpoint: "http://127.0.0.1:1" });
    expect(await resolveModel("pare/stories", { settings: dead, onProgress: (event) => events.push(event) })).toBe(
      folder,
    );
    expect(events).toEqual([{ kind: "warning", message: expect.stringContaining(`the copy of commit ${COMMIT}`) }]);
    cache = join(root, "none");
    await expect(resolve("pare/stories", { endpoint: "http://127.0.0.1:1" })).rejects.toThrow(RunError);
  });

  it("has only its own files downloaded: weights once, and no code that runs when it is read", async () => {
    const extra = [
      "pytorch_model.bin",
      "consolidated.safetensors",
      "model.fp16.safetensors",
      "model-00001-of-00001.safetensors",
      "model.safetensors.index.json",
      "onnx/model.onnx",
      "tf_model.h5",
      "original/params.json",
      "training_args.bin",
      "README.md",
      ".gitattributes",
      "tokenizer.bin",
    ];
    const wanted = ["tokenizer.model", "special_tokens_map.json", "vocab.json", "merges.txt", "chat_template.jinja"];
    const more = Object.fromEntries([...extra, ...wanted].map((name) => [name, text(name)]));
    hub.repositories["pare/stories"] = {
      refs: { main: COMMIT },
      commits: { [COMMIT]: { ...storiesFiles(), ...more } },
    };
    const folder = await resolve("pare/stories");
    expect((await readdir(folder)).sort()).toEqual([...Object.keys(storiesFiles()), ...wanted].sort());
  });

  it("in shards has those that its index names", async () => {
    const { "model.safetensors": weights, ...beside } = storiesFiles();
    const map = { weight_map: { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" } };
    const shards = Object.fromEntries(Object.values(map.weight_map).map((name) => [name, weights!]));
    const files = {
      ...beside,
      ...shards,
      "model.safetensors.index.json": text(JSON.stringify(map)),
      "model-00003-of-00003.safetensors": text("of another export"),
    };
    hub.repositories["pare/stories"] = { refs: { main: COMMIT }, commits: { [COMMIT]: files } };
    const folder = await resolve("pare/stories");
    expect((await readdir(folder)).filter((name) => name.includes("safetensors")).sort()).toEqual([
      "model-00001-of-00002.safetensors",
      "model-00002-of-00002.safetensors",
      "model.safetensors.index.json",
    ]);
    expect(hub.contentRequests().filter(({ url }) => url.startsWith("/lfs/"))).toHaveLength(1); // one blob for both
    expect(await resolve("pare/stories", { isOffline: true })).toBe(folder);
    await rm(join(folder, "model-00002-of-00002.safetensors"));
    await expect(resolve("pare/stories", { isOffline: true })).rejects.toThrow("no whole copy");
  });

  it("is completed where huggingface_hub brought a part of it", async () => {
    const folder = folderOf(COMMIT);
    await mkdir(folder, { recursive: true });
    await mkdir(join(cache, "models--pare--stories", "refs"), { recursive: true });
    await writeFile(join(cache, "models--pare--stories", "refs", "main"), COMMIT);
    await writeFile(join(folder, "config.json"), storiesFiles()["config.json"]!.content); // a file, as on Windows
    expect(await resolve("pare/stories")).toBe(folder);
    expect((await lstat(join(folder, "config.json"))).isSymbolicLink()).toBe(false);
    expect(hub.contentRequests().some(({ url }) => url.includes("config.json?") || url.endsWith("/config.json"))).toBe(
      false,
    );
  });

  it("has a file again that was cut short in the cache", async () => {
    const folder = await resolve("pare/stories");
    const path = join(folder, "tokenizer.json");
    await writeFile(path, "short");
    await resolve("pare/stories");
    expect(Buffer.compare(await readFile(path), storiesFiles()["tokenizer.json"]!.content)).toBe(0);
  });

  it("tells how far it is, in bytes", async () => {
    const events: ProgressEvent[] = [];
    await resolveModel("pare/stories", { settings: settings(), onProgress: (event) => events.push(event) });
    const total = Object.values(storiesFiles()).reduce((sum, { content }) => sum + content.length, 0);
    expect(events[0]).toEqual({ kind: "start", what: "downloading pare/stories", total, unit: "bytes" });
    expect(events.at(-1)).toMatchObject({ kind: "step", done: total });
    const steps = events.flatMap((event) => (event.kind === "step" ? [event.done] : []));
    expect(steps).toEqual([...steps].sort((a, b) => a - b));
  });
});

describe("what is refused before anything is downloaded", () => {
  const refused = async (name: string, files: Record<string, ReturnType<typeof text>>) => {
    hub.repositories["pare/other"] = { refs: { main: COMMIT }, commits: { [COMMIT]: files } };
    const error: unknown = await resolve(name).catch((error: unknown) => error);
    expect(hub.contentRequests()).toEqual([]);
    expect(error).toBeInstanceOf(InputError);
    expect((error as Error).message).not.toContain("\n");
    return (error as Error).message;
  };

  it("pickled weights, with the way to convert them", async () => {
    const message = await refused("pare/other", { "config.json": text("{}"), "pytorch_model.bin": text("") });
    expect(message).toMatch(/^pare\/other: holds PyTorch pickle files only.*from_pretrained\('pare\/other'/);
  });

  it("packed ones of which none is named; a named one comes alone", async () => {
    const files = { "a-Q4_0.gguf": text("packed"), "a-F16.gguf": text("packed too"), "config.json": text("{}") };
    expect(await refused("pare/other", files)).toBe(
      "pare/other: holds GGUF files; name one of them: pare/other/a-Q4_0.gguf, pare/other/a-F16.gguf",
    );
    const path = await resolve("pare/other/a-F16.gguf");
    expect(await readFile(path, "utf8")).toBe("packed too");
    expect(hubOrigin(path)).toEqual({ name: "pare/other", commit: COMMIT, file: "a-F16.gguf" });
    expect(hub.contentRequests()).toHaveLength(1);
    await expect(resolve("pare/other/none.gguf")).rejects.toThrow("pare/other: has no file none.gguf");
    await expect(resolve("pare/other@main/../x.gguf")).rejects.toThrow(InputError);
  });

  it("weights that are none, or not a whole model's", async () => {
    expect(await refused("pare/other", { "config.json": text("{}"), "adapter_model.safetensors": text("") })).toContain(
      "has neither model.safetensors nor model.safetensors.index.json",
    );
    expect(await refused("pare/other", { "model.safetensors": text("") })).toContain("has no config.json");
    expect(await refused("pare/other", { "README.md": text("") })).toContain("has neither model.safetensors nor");
  });

  it.each([
    "../evil.json",
    "tokenizer/../../../evil.json",
    "..\\tokenizer.json",
    "/etc/tokenizer.json",
    "C:tokenizer.json",
  ])("a file %s of a listing is not written anywhere", async (name) => {
    const files = { ...storiesFiles(), [name]: text("evil") };
    hub.repositories["pare/other"] = { refs: { main: COMMIT }, commits: { [COMMIT]: files } };
    await resolve("pare/other").catch((error: unknown) => expect(error).toBeInstanceOf(InputError));
    const written = await readdir(root, { recursive: true });
    expect(written.filter((path) => path.includes("evil") || path.includes("\\"))).toEqual([]);
    const snapshot = join(cache, "models--pare--other", "snapshots", COMMIT);
    const there = await readdir(snapshot, { recursive: true }).catch(() => []);
    expect(there.filter((path) => !(path in storiesFiles()))).toEqual([]);
  });

  it.each(["../../../evil.safetensors", "a/b.safetensors", "evil.bin"])("an index that names %s", async (shard) => {
    const index = text(JSON.stringify({ weight_map: { a: shard } }));
    const files = { "config.json": text("{}"), "model.safetensors.index.json": index, [shard]: text("evil") };
    hub.repositories["pare/other"] = { refs: { main: COMMIT }, commits: { [COMMIT]: files } };
    await expect(resolve("pare/other")).rejects.toThrow(InputError);
    expect((await readdir(root, { recursive: true })).filter((path) => path.includes("evil"))).toEqual([]);
  });

  it.each(["not-a-hash", "../../../../evil", "A".repeat(40), ""])("a hash that is none: %j", async (hash) => {
    const files = { ...storiesFiles(), "config.json": { ...text("{}"), claimed: { hash } } };
    hub.repositories["pare/other"] = { refs: { main: COMMIT }, commits: { [COMMIT]: files } };
    await expect(resolve("pare/other")).rejects.toThrow("gives no hash to check it by");
  });
});

describe("a name", () => {
  it("of something that is there is that, before the hub is asked", async () => {
    const before = process.cwd();
    await mkdir(join(root, "pare", "stories"), { recursive: true });
    process.chdir(root);
    try {
      expect(await resolve("pare/stories")).toBe("pare/stories");
      await expect(resolve("pare/stories", {}, "v1")).rejects.toThrow("--revision v1: is for a model of the hub");
    } finally {
      process.chdir(before);
      await rm(join(root, "pare"), { recursive: true });
    }
    expect(hub.requests).toEqual([]);
  });

  it.each([
    "stories",
    "./pare/stories",
    "../stories",
    "/pare/stories",
    "a/b/c",
    "a--b/c",
    "a..b/c",
    "pare\\stories",
    "-a/b",
    "a/b.git",
  ])("%s is no model's on the hub", async (name) => {
    expect(await resolve(name)).toBe(name);
    await expect(openCheckpoint(name)).rejects.toThrow(/no such folder or file; .* as org\/name$/);
    expect(hub.requests).toEqual([]);
  });

  it.each(["", "..", "../../x", "a/../b", "a b", "a\\b", "/a", "a/", "a.lock", "a?b", "-a", "x".repeat(300)])(
    "with the revision %j is refused",
    async (revision) => {
      await expect(resolve(`pare/stories@${revision}`)).rejects.toThrow(/is no revision/);
      expect(hub.requests).toEqual([]);
    },
  );
});

describe("who is let in", () => {
  const access = async (kind: "gated" | "gated for all" | "private", token?: string) => {
    const stories = hub.repositories["pare/stories"]!;
    hub.repositories["pare/stories"] = { ...stories, access: kind };
    const message = await resolve("pare/stories", { token }).then(
      () => "let in",
      (error: Error) => error.message,
    );
    expect(message).not.toContain("\n");
    expect(message).not.toContain("hf_");
    return message;
  };

  it("to a gated model: who has access, others are told how to get it", async () => {
    expect(await access("gated")).toBe(
      `pare/stories: gated; ask for access on ${hub.url}/pare/stories, then set HF_TOKEN to a token of yours`,
    );
    expect(await access("gated for all", TOKEN)).toContain("gated, and your token has no access to it; ask for it on");
    expect(await access("gated", TOKEN)).toBe("let in");
  });

  it("to a private one: who has a token", async () => {
    expect(await access("private")).toContain(
      "pare/stories: no such folder, and no such model on the hub; check the name; if it is private, set HF_TOKEN",
    );
    expect(await access("private", "hf_wrong")).toContain("does not accept your token; correct HF_TOKEN");
    expect(await access("private", TOKEN)).toBe("let in");
  });

  it("and what is not there is said", async () => {
    await expect(resolve("pare/none")).rejects.toThrow("no such model on the hub");
    await expect(resolve("pare/stories@v9")).rejects.toThrow("pare/stories: the hub has no revision v9 of it; see");
  });
});

describe("links of a snapshot", () => {
  it("lead to what repositories share too, as huggingface_hub lays it down, and nowhere else", async () => {
    const folder = await resolve("pare/stories");
    const { content } = storiesFiles()["model.safetensors"]!;
    const blob = join(cache, "models--pare--stories", "blobs", sha256(content));
    const hash = "0123456789abcdef".repeat(4);
    const move = async (to: string) => {
      await rm(blob);
      await mkdir(join(cache, to, ".."), { recursive: true });
      await writeFile(join(cache, to), content);
      await symlink(join("..", "..", to), blob);
      return openCheckpoint(folder);
    };
    await (await move(`blobs/01/${hash}`)).close();
    for (const other of [`blobs/02/${hash}`, "blobs/01/else", `else/01/${hash}`, "models--pare--else/blobs/x"]) {
      await expect(move(other)).rejects.toThrow("is a link that leaves the folder");
    }
  });
});
