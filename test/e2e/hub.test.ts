import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type HubServer, sha256, startHub, storiesFiles, TOKEN } from "../support/hub-server.js";
import { pare, stories } from "./pare.js";

const COMMIT = "a".repeat(40);
const FIRST = "f".repeat(40);

let hub: HubServer;
let root: string;
let cache: string;
let count = 0;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "pare-hub-e2e-"));
  hub = await startHub({
    "pare/stories": {
      refs: { main: COMMIT },
      commits: { [COMMIT]: storiesFiles(), [FIRST]: storiesFiles() },
      access: "gated",
    },
  });
});
afterAll(async () => {
  await hub.close();
  await rm(root, { recursive: true, force: true });
});
beforeEach(() => {
  cache = join(root, `cache-${++count}`);
  hub.forget();
});

const environment = (changes: Readonly<Record<string, string>> = {}) => ({
  HF_ENDPOINT: hub.url,
  HF_HUB_CACHE: cache,
  HF_HOME: join(root, "home"),
  HF_TOKEN: TOKEN,
  HF_HUB_OFFLINE: "",
  ...changes,
});
const run = (args: readonly string[], changes: Readonly<Record<string, string>> = {}) =>
  pare(args, { env: environment(changes) });
const snapshot = (commit = COMMIT) => join(cache, "models--pare--stories", "snapshots", commit);

/** Everything that a run left or said, for what must not be in it. */
async function everythingIn(folder: string): Promise<string> {
  const paths = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = paths
    .filter((entry) => entry.isFile())
    .map((entry) => readFile(join(entry.parentPath, entry.name), "latin1"));
  return (await Promise.all(files)).join("\n");
}

describe("a model of the hub on the command line", () => {
  it("is inspected, compressed, compared, and named where it is from; the token stands nowhere", async () => {
    const said: string[] = [];
    const done = async (args: readonly string[], changes: Readonly<Record<string, string>> = {}) => {
      const { code, stdout, stderr } = await run(args, changes);
      expect(stderr).not.toMatch(/error/);
      expect(code).toBe(0);
      said.push(stdout, stderr);
      return stdout;
    };
    const inspected = JSON.parse(await done(["inspect", "pare/stories", "--json"])) as Record<string, unknown>;
    const original = JSON.parse((await pare(["inspect", stories, "--json"])).stdout) as Record<string, unknown>;
    const hubRecord = { name: "pare/stories", commit: COMMIT };
    expect(inspected).toEqual({ ...original, path: "pare/stories", hub: hubRecord });
    expect(await done(["inspect", "pare/stories", "--revision", FIRST])).toContain(`pare/stories at commit ${FIRST}`);

    const out = join(root, "out");
    await done(["compress", "pare/stories@main", "--method", "magnitude", "--sparsity", "0.5", "-o", out]);
    const record = JSON.parse(await readFile(join(out, "pare.json"), "utf8")) as { base: unknown };
    const sha = { sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string };
    expect(record.base).toEqual({ path: "pare/stories", ...sha, hub: hubRecord });
    expect(await readFile(join(out, "README.md"), "utf8")).toMatch(
      /^---\nlibrary_name: transformers\nbase_model: pare\/stories\n/,
    );
    expect((await stat(join(out, "model.safetensors"))).size).toBeGreaterThan(1e6);

    hub.requests.length = 0;
    const args = ["evaluate", out, "--base", "pare/stories", "--data", "tinystories", "--windows", "2", "--json"];
    const evaluated = JSON.parse(await done(args, { HF_HUB_OFFLINE: "1" })) as { base: unknown };
    expect(evaluated.base).toEqual({ path: "pare/stories", ...sha, hub: hubRecord });
    expect(hub.requests).toEqual([]);

    expect(await done(["doctor"])).toMatch(new RegExp(`hub +${hub.url}\\n.*${cache}\\n.*token +yes`));
    expect(said.join("\n")).not.toContain(TOKEN);
    expect(await everythingIn(root)).not.toContain(TOKEN);
    const storage = hub.requests.filter(({ server }) => server === "storage");
    expect(JSON.stringify(storage)).not.toContain(TOKEN);
  }, 180_000);

  it("in a study is one of its models", async () => {
    const { writeFile } = await import("node:fs/promises");
    const file = join(root, "study.yaml");
    const lines = [
      "models: [pare/stories]",
      "methods: [magnitude]",
      "sparsities: [0.5]",
      "data: [{source: tinystories, windows: 1}]",
    ];
    await writeFile(file, `${lines.join("\n")}\n`);
    const { code, stderr } = await run(["study", file, "-o", join(root, "study")]);
    expect(stderr).not.toMatch(/error/);
    expect(code).toBe(0);
    const record = JSON.parse(await readFile(join(root, "study", "study.json"), "utf8")) as { models: unknown[] };
    expect(record.models).toMatchObject([
      { name: "stories", path: "pare/stories", hub: { name: "pare/stories", commit: COMMIT } },
    ]);
    const named = await run(["study", file, "-o", join(root, "named"), "--model", "pare/stories@main", "--dry-run"]);
    expect(named).toMatchObject({ code: 0, stdout: expect.stringContaining("stories") });
  }, 180_000);

  it.each([
    [
      ["inspect", "pare/stories"],
      { HF_HUB_OFFLINE: "1" },
      /pare\/stories: no such folder, and no whole copy in the hub's cache/,
    ],
    [
      ["inspect", "pare/stories"],
      { HF_TOKEN: "" },
      /pare\/stories: gated; ask for access on .*\/pare\/stories, then set HF_TOKEN/,
    ],
    [["inspect", "pare/stories@v1", "--revision", "v2"], {}, /pare\/stories@v1: --revision says v2; give one of them/],
    [["inspect", "pare/nothing"], {}, /pare\/nothing: no such folder, and no such model on the hub/],
    [["inspect", "nothing"], {}, /nothing: no such folder or file; .* or a model of the Hugging Face hub as org\/name/],
  ])("%j is refused in one line", async (args, changes, message) => {
    const { code, stdout, stderr } = await run(args, changes);
    expect(stderr).toMatch(/^error: [^\n]*\n$/);
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain(TOKEN);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  });
});

describe("a download", () => {
  const weights = () => storiesFiles()["model.safetensors"]!.content;
  const part = () => join(cache, "models--pare--stories", "blobs", `${sha256(weights())}.pare.incomplete`);
  const expectWhole = async () =>
    expect(sha256(await readFile(join(snapshot(), "model.safetensors")))).toBe(sha256(weights()));

  it("killed at ten moments goes on where it was, and ends in the same bytes", async () => {
    hub.faults.trickle = { bytes: 8192, milliseconds: 5 };
    const { length } = weights();
    let kept = 0;
    for (let round = 0; round < 10; round++) {
      // Somewhere in what is left, the same places in every run.
      const chance = createHash("sha256").update(`kill ${round}`).digest()[0]! / 255;
      const least = kept + chance * 0.3 * (length - kept);
      let killed = false;
      const sent = () => hub.requests.filter(({ server }) => server === "storage").at(-1)?.sent ?? 0;
      hub.requests.length = 0;
      const child = await pare(["inspect", "pare/stories"], {
        env: environment(),
        killWhen: () => {
          killed ||= kept + sent() > least && hub.requests.some(({ server }) => server === "storage");
          return killed;
        },
      });
      expect(child.code).toBeNull();
      const begun = hub.requests.find(({ server }) => server === "storage");
      expect(begun?.headers.range).toBe(kept === 0 ? undefined : `bytes=${kept}-`);
      const { size } = await stat(part());
      expect(size).toBeGreaterThanOrEqual(kept);
      kept = size;
    }
    expect(kept).toBeGreaterThan(0);
    expect(kept).toBeLessThan(length);
    hub.requests.length = 0;
    delete hub.faults.trickle;
    const { code } = await run(["inspect", "pare/stories"]);
    expect(code).toBe(0);
    const last = hub.requests.filter(({ server }) => server === "storage");
    expect(last.map(({ headers, sent }) => [headers.range, sent])).toEqual([[`bytes=${kept}-`, length - kept]]);
    await expectWhole();
    const left = await readdir(join(cache, "models--pare--stories", "blobs"));
    expect(left.filter((name) => name.includes("incomplete"))).toEqual([]);
  }, 180_000);

  it("by two processes at once comes once", async () => {
    hub.faults.trickle = { bytes: 65_536, milliseconds: 50 };
    const both = await Promise.all([run(["inspect", "pare/stories"]), run(["inspect", "pare/stories"])]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    expect(hub.requests.filter(({ server }) => server === "storage")).toHaveLength(1);
    await expectWhole();
  }, 60_000);

  it("stopped by Ctrl-C says so and is gone on with", async () => {
    hub.faults.trickle = { bytes: 8192, milliseconds: 10 };
    const stopped = await pare(["inspect", "pare/stories"], {
      env: environment(),
      signal: "SIGINT",
      killWhen: () => hub.requests.some(({ server, sent }) => server === "storage" && sent > 100_000),
    });
    expect(stopped.code).toBe(130);
    const { size } = await stat(part());
    expect(size).toBeGreaterThan(50_000);
    delete hub.faults.trickle;
    hub.requests.length = 0;
    expect((await run(["inspect", "pare/stories"])).code).toBe(0);
    expect(hub.requests.find(({ server }) => server === "storage")?.headers.range).toBe(`bytes=${size}-`);
    await expectWhole();
  }, 60_000);
});
