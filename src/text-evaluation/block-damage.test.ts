import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Checkpoint } from "../checkpoint/checkpoint.js";
import { openCheckpoint } from "../checkpoint/open.js";
import { compress } from "../compress.js";
import type { Engine } from "../engine/engine.js";
import { createEngine } from "../engine/registry.js";
import { type Model, openModel } from "../model/model.js";
import { createStopwatch } from "../progress.js";
import { blockDamage } from "./block-damage.js";
import { compareModels } from "./evaluate-text.js";
import { readTogether } from "./sample.js";

const base = fileURLToPath(new URL("../../assets/models/stories260K", import.meta.url));
const windows = [0, 1, 2].map((w) => Int32Array.from({ length: 24 + w }, (_, i) => 3 + ((w * 131 + i * i * 7) % 500)));

let folder: string;
let engine: Engine;
const opened: Checkpoint[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-blocks-"));
  engine = createEngine("reference");
});
afterAll(async () => {
  await engine.dispose();
  for (const checkpoint of opened) await checkpoint.close();
  await rm(folder, { recursive: true, force: true });
});

async function open(path: string): Promise<Model> {
  const checkpoint = await openCheckpoint(path);
  opened.push(checkpoint);
  return openModel(checkpoint);
}

async function pruned(name: string, only: readonly string[]): Promise<Model> {
  const output = join(folder, name);
  await compress({ model: base, output, method: "magnitude", sparsity: 0.5, only });
  return open(output);
}

const run = () => ({ engine, windows, options: {}, watch: createStopwatch() });

test("a block alone in the base is what a model with that one block compressed is", async () => {
  const dense = await open(base);
  const all = await pruned("all", []);
  const damage = await blockDamage(run(), dense, all);
  expect(damage.map(({ layer }) => layer)).toEqual([0, 1, 2, 3, 4]);
  for (const layer of [0, 2, 4]) {
    const one = await pruned(`layer${layer}`, [`model.layers.${layer}`]);
    const { jsd } = await compareModels(run(), { model: dense }, one, async () => undefined);
    expect(damage[layer]!.jsd.mean).toBeCloseTo(jsd.mean!, 14);
    expect(damage[layer]!.jsd.standardError).toBeCloseTo(jsd.standardError!, 14);
  }
});

test("an unchanged model does no damage in any block", async () => {
  const copy = join(folder, "copy");
  await cp(base, copy, { recursive: true });
  for (const { jsd } of await blockDamage(run(), await open(base), await open(copy))) expect(jsd.mean).toBe(0);
});

test("read together: each window's tokens, what both found likeliest, and their divergence", async () => {
  const dense = await open(base);
  const sparse = await open(join(folder, "all"));
  const read = await readTogether(engine, dense, sparse, windows, (id) => `<${id}>`, undefined);
  expect(read.map((tokens) => tokens.map(({ text }) => text))).toEqual(
    windows.map((ids) => Array.from(ids, (id) => `<${id}>`)),
  );
  const { jsd, sameTop1 } = await compareModels(run(), { model: dense }, sparse, async () => undefined);
  const predicted = read.flatMap((tokens) => tokens.slice(1));
  const mean = predicted.reduce((sum, token) => sum + token.jsd!, 0) / predicted.length;
  expect(mean).toBeCloseTo(jsd.mean!, 3);
  const same = predicted.filter((token) => token.base[0]![0] === token.compressed[0]![0]).length;
  expect(same / predicted.length).toBeCloseTo(sameTop1.mean!, 12);
  for (const [first] of read) expect(first).toMatchObject({ jsd: null, base: [], compressed: [] });
});
