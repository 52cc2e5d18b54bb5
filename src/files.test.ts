import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { replaceBy, replaceFile } from "./files.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-files-"));
});
afterAll(() => rm(folder, { recursive: true }));

it("leaves one writer's whole text where several write at once", async () => {
  const file = join(folder, "several");
  const texts = Array.from({ length: 20 }, (_, i) => String(i).repeat(100_000));
  await Promise.all(texts.map((text) => replaceFile(file, text)));
  expect(texts).toContain(await readFile(file, "utf8"));
  expect(await readdir(folder)).toEqual(["several"]);
});

it("keeps the old file, and leaves nothing beside it, where writing fails", async () => {
  const file = join(folder, "several");
  const before = await readFile(file, "utf8");
  const failing = replaceBy(file, async () => {
    throw new Error("no room");
  });
  await expect(failing).rejects.toThrow("no room");
  expect(await readFile(file, "utf8")).toBe(before);
  expect(await readdir(folder)).toEqual(["several"]);
});
