import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hubSettings } from "../../src/hub/settings.js";

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "pare-hub-home-"));
});
afterAll(() => rm(home, { recursive: true, force: true }));

describe("the environment, as huggingface_hub's documentation has it", () => {
  it.each([
    [{}, join(homedir(), ".cache", "huggingface", "hub")],
    [{ XDG_CACHE_HOME: "/c" }, "/c/huggingface/hub"],
    [{ XDG_CACHE_HOME: "/c", HF_HOME: "/h" }, "/h/hub"],
    [{ HF_HOME: "~/h" }, join(homedir(), "h", "hub")],
    [{ HF_HOME: "/h", HF_HUB_CACHE: "/x" }, "/x"],
    [{ HF_HOME: "/h", HUGGINGFACE_HUB_CACHE: "/y" }, "/y"],
    [{ HF_HOME: "", HF_HUB_CACHE: "" }, join(homedir(), ".cache", "huggingface", "hub")],
  ])("%o: the cache is %s", async (env, cache) => {
    expect((await hubSettings({ HF_TOKEN: "t", ...env })).cache).toBe(cache);
  });

  it("endpoint and offline", async () => {
    expect(await hubSettings({ HF_HOME: home })).toMatchObject({
      endpoint: "https://huggingface.co",
      isOffline: false,
    });
    const other = { HF_HOME: home, HF_ENDPOINT: "https://hub.example/hf/", TRANSFORMERS_OFFLINE: "YES" };
    expect(await hubSettings(other)).toMatchObject({ endpoint: "https://hub.example/hf", isOffline: true });
    expect((await hubSettings({ HF_HOME: home, HF_HUB_OFFLINE: "0" })).isOffline).toBe(false);
  });

  it("the token, from the environment before a file", async () => {
    expect((await hubSettings({ HF_HOME: home })).token).toBeUndefined();
    await writeFile(join(home, "token"), "hf_file\n");
    await writeFile(join(home, "other"), " hf_other ");
    expect((await hubSettings({ HF_HOME: home })).token).toBe("hf_file");
    expect((await hubSettings({ HF_HOME: home, HF_TOKEN_PATH: join(home, "other") })).token).toBe("hf_other");
    expect((await hubSettings({ HF_HOME: home, HF_TOKEN: " hf_env\n" })).token).toBe("hf_env");
    expect((await hubSettings({ HF_HOME: home, HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" })).token).toBeUndefined();
  });

  it.each([
    [{ HF_ENDPOINT: "huggingface.co" }, "HF_ENDPOINT: not an address"],
    [{ HF_ENDPOINT: "ftp://huggingface.co" }, "HF_ENDPOINT: not an address"],
    [{ HF_ENDPOINT: "https://me:secret@hub.example" }, "HF_ENDPOINT: has a user or a password in it"],
    [{ HF_TOKEN: "secret secret" }, "HF_TOKEN: holds characters that no token of the hub has"],
    [{ HF_TOKEN: "secret\u2028" + "x" }, "HF_TOKEN: holds characters"],
    [{ HF_HUB_DOWNLOAD_TIMEOUT: "soon" }, "HF_HUB_DOWNLOAD_TIMEOUT: not a number"],
  ])("%o is refused, and not repeated", async (env, message) => {
    const error: unknown = await hubSettings(env).catch((error: unknown) => error);
    expect((error as Error).message).toContain(message);
    expect((error as Error).message).not.toContain("secret");
  });
});
