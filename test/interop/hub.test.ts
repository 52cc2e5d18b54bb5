import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open.js";
import { resolveDataFile } from "../../src/hub/data-file.js";
import { resolveModel } from "../../src/hub/model.js";
import type { HubSettings } from "../../src/hub/settings.js";
import { type HubServer, startHub, storiesFiles } from "../support/hub-server.js";

const COMMIT = "a".repeat(40);
const python = ["python3", "python"].find(
  (command) => spawnSync(command, ["-c", "import huggingface_hub"], { timeout: 60_000 }).status === 0,
);

describe.skipIf(!python)(`one cache with huggingface_hub${python ? "" : " (no Python that has it)"}`, () => {
  let hub: HubServer;
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "pare-hub-interop-"));
    const texts = { "en/a.txt": { content: Buffer.from("text"), storage: "xet" as const } };
    hub = await startHub({
      "pare/stories": { refs: { main: COMMIT, "refs/pr/1": COMMIT }, commits: { [COMMIT]: storiesFiles() } },
      "datasets/pare/texts": { refs: { main: COMMIT }, commits: { [COMMIT]: texts } },
    });
  });
  afterAll(async () => {
    await hub.close();
    await rm(root, { recursive: true, force: true });
  });

  const settings = (cache: string, isOffline: boolean): HubSettings => ({
    endpoint: hub.url,
    cache,
    isOffline,
    token: undefined,
    timeoutSeconds: 5,
    firstRetrySeconds: 0.01,
  });
  const ask = async (cache: string, expression: string): Promise<string> => {
    const code = `from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download; print(${expression})`;
    const env = { ...process.env, HF_HUB_CACHE: cache, HF_HOME: root, HF_ENDPOINT: hub.url, HF_HUB_DISABLE_XET: "1" };
    const { stdout } = await promisify(execFile)(python!, ["-c", code], { env: { ...env, HF_HUB_OFFLINE: "" } });
    return stdout.trim();
  };

  it.each(["main", "refs/pr/1", COMMIT])(
    "finds what pare downloaded at %s",
    async (revision) => {
      const cache = join(root, `pare-${revision.replaceAll("/", "-")}`);
      const folder = await resolveModel(`pare/stories@${revision}`, { settings: settings(cache, false) });
      hub.requests.length = 0;
      const local = `"pare/stories", revision="${revision}", local_files_only=True`;
      expect(await ask(cache, `snapshot_download(${local})`)).toBe(folder);
      expect(
        await ask(
          cache,
          `hf_hub_download("pare/stories", "config.json", revision="${revision}", local_files_only=True)`,
        ),
      ).toBe(join(folder, "config.json"));
      const { path } = await resolveDataFile("hf://datasets/pare/texts/en/a.txt", { settings: settings(cache, false) });
      const data = `"pare/texts", "en/a.txt", repo_type="dataset", local_files_only=True`;
      expect(await ask(cache, `hf_hub_download(${data})`)).toBe(path);
      // It knows every repository and file as its own, and downloads nothing again.
      const scan =
        "sorted((r.repo_type, r.repo_id, r.nb_files) for r in scan_cache_dir().repos), scan_cache_dir().warnings";
      expect(await ask(cache, scan)).toBe(
        `[('dataset', 'pare/texts', 1), ('model', 'pare/stories', ${Object.keys(storiesFiles()).length})] []`,
      );
      hub.requests.length = 0;
      expect(await ask(cache, `snapshot_download("pare/stories", revision="${revision}")`)).toBe(folder);
      expect(hub.contentRequests().filter(({ method }) => method === "GET")).toEqual([]);
    },
    120_000,
  );

  it("brings what pare finds", async () => {
    const cache = join(root, "python");
    const folder = await ask(cache, 'snapshot_download("pare/stories")');
    const path = await ask(cache, 'hf_hub_download("pare/texts", "en/a.txt", repo_type="dataset")');
    hub.requests.length = 0;
    for (const isOffline of [true, false]) {
      expect(await resolveModel("pare/stories", { settings: settings(cache, isOffline) })).toBe(folder);
      const found = await resolveDataFile("hf://datasets/pare/texts/en/a.txt", {
        settings: settings(cache, isOffline),
      });
      expect(found.path).toBe(path);
    }
    expect(hub.contentRequests()).toEqual([]);
    await (await openCheckpoint(folder)).close();
    const part = await ask(join(root, "part"), 'hf_hub_download("pare/stories", "config.json")');
    const whole = await resolveModel("pare/stories", { settings: settings(join(root, "part"), false) });
    expect(join(whole, "config.json")).toBe(part);
    expect((await readdir(whole)).sort()).toEqual(Object.keys(storiesFiles()).sort());
  }, 120_000);
});
