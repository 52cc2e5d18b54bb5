import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { carriedModel } from "../../test/support/carried.js";
import { tinyModel } from "../../test/support/models.js";
import type { Checkpoint } from "../checkpoint/checkpoint.js";
import { openCheckpoint } from "../checkpoint/open.js";
import { type Model, openModel } from "../model/model.js";
import { createCache } from "./cache.js";
import type { Engine } from "./engine.js";
import { meter, type Work } from "./meter.js";
import { createEngine } from "./registry.js";

/** Of stories260K's block, from its config: hidden 64, 8 heads of 8, 4 of keys and values, 172 between. */
const [HIDDEN, KEYS, BETWEEN] = [64, 4 * 8, 172];
const BEFORE_DOWN = 2 * HIDDEN * HIDDEN + 2 * HIDDEN * KEYS + 2 * HIDDEN * BETWEEN;
const WEIGHTS = BEFORE_DOWN + HIDDEN * BETWEEN;

let checkpoint: Checkpoint;
let model: Model;
let plain: Engine;
let engine: Engine;
let told: Work[] = [];
beforeAll(async () => {
  checkpoint = await openCheckpoint(carriedModel);
  model = openModel(checkpoint);
  plain = createEngine("reference");
  engine = meter(plain, (work) => told.push(work));
});
afterAll(async () => {
  await plain.dispose();
  await checkpoint.close();
});

const rows = (windows: number, tokens: number, columns = HIDDEN) => ({
  data: Float64Array.from({ length: windows * tokens * columns }, (_, i) => Math.sin(i)),
  windows,
  tokens,
});
const block = async () => {
  const layer = model.layers[0]!;
  told = [];
  return { layer, weights: await model.layerWeights(engine, layer), executable: await engine.compile(layer.program) };
};

describe("the work of a run", () => {
  test("two operations a weight and row, and attention over what each token sees", async () => {
    const { layer, weights, executable } = await block();
    const x = rows(2, 10);
    const output = await executable.run(x, weights);
    expect(output).toEqual(await (await plain.compile(layer.program)).run(x, weights));
    const norms = 2 * HIDDEN;
    const bytes = 4 * (WEIGHTS + norms) + 2 * 8 * 20 * HIDDEN;
    expect(told).toEqual([{ operations: 20 * 2 * WEIGHTS + 4 * HIDDEN * 2 * 55, bytes }]);
  });

  test("a text that two others continue is seen by both", async () => {
    const { weights, executable } = await block();
    const segments = [{ tokens: 3 }, { tokens: 2, continues: 0 }, { tokens: 1, continues: 0 }];
    await executable.run({ ...rows(1, 6), segments }, weights);
    expect(told[0]!.operations).toBe(6 * 2 * WEIGHTS + 4 * HIDDEN * (1 + 2 + 3 + (4 + 5) + 4));
  });

  test("a token that extends a cache sees what is in it", async () => {
    const { layer, weights, executable } = await block();
    const cache = createCache(layer.program, engine, 2, 8);
    await executable.extend(rows(1, 3), weights, { cache, first: 0, lengths: [0] });
    await executable.extend(rows(1, 5), weights, { cache, first: 1, lengths: [0] });
    await executable.extend(rows(2, 1), weights, { cache, first: 0, lengths: [3, 5] });
    const attended = [1 + 2 + 3, 1 + 2 + 3 + 4 + 5, 4 + 6];
    expect(told.map(({ operations }) => operations)).toEqual(
      [3, 5, 2].map((tokens, i) => tokens * 2 * WEIGHTS + 4 * HIDDEN * attended[i]!),
    );
  });

  test("to observe takes what the last linear reads, and half of each Gram matrix", async () => {
    const { weights, executable } = await block();
    await executable.observe("squaredNorms").add(rows(1, 4), weights);
    await executable.observe("gram").add(rows(1, 4), weights);
    const run = 4 * 2 * BEFORE_DOWN + 4 * HIDDEN * 10;
    const grams = 4 * (3 * HIDDEN * (HIDDEN + 1) + BETWEEN * (BETWEEN + 1)); // q k v, o, gate and up; down
    expect(told.map(({ operations }) => operations)).toEqual([run, run + grams]);
  });

  test("a product of matrices", async () => {
    told = [];
    const matrix = (height: number, width: number) => ({
      rows: height,
      columns: width,
      data: new Float64Array(height * width),
    });
    await engine.multiply(matrix(3, 5), matrix(5, 7));
    expect(told).toEqual([{ operations: 2 * 3 * 5 * 7, bytes: 8 * (15 + 35 + 21) }]);
  });
});

/** The operations that `what` says of one row through the first block of a tiny model, and the model's config and sites. */
async function ofTiny(name: string, tokens: number, what: "run" | "observe") {
  const tiny = await openCheckpoint(tinyModel(name));
  try {
    const opened = openModel(tiny);
    const [layer] = opened.layers;
    const weights = await opened.layerWeights(engine, layer!);
    const x = rows(1, tokens, opened.architecture.hiddenSize);
    const executable = await engine.compile(layer!.program);
    told = [];
    if (what === "run") await executable.run(x, weights);
    else await executable.observe("squaredNorms").add(x, weights);
    const config = tiny.config as Readonly<Record<string, number>>;
    const heads = config["num_attention_heads"]!;
    const width = heads * (config["head_dim"] ?? opened.architecture.hiddenSize / heads);
    return { operations: told[0]!.operations, config, sites: layer!.sites, ofKey: 4 * width };
  } finally {
    await tiny.close();
  }
}

describe("a mixture", () => {
  test("of its experts those count that a row goes to", async () => {
    const { operations, config, sites, ofKey } = await ofTiny("mixtral", 1, "run");
    const share = config["num_experts_per_tok"]! / config["num_local_experts"]!;
    let weights = 0;
    for (const { expert, in: width, out } of sites) weights += width * out * (expert ? share : 1);
    expect(operations).toBeCloseTo(2 * weights + ofKey, 6);
  });

  test("to observe takes none of what experts put out", async () => {
    const { operations, config, sites, ofKey } = await ofTiny("mixtral", 1, "observe");
    const share = config["num_experts_per_tok"]! / config["num_local_experts"]!;
    let weights = 0;
    for (const { local, expert, in: width, out } of sites) {
      if (!local.endsWith(".w2")) weights += width * out * (expert ? share : 1);
    }
    expect(operations).toBeCloseTo(2 * weights + ofKey, 6);
  });
});

test("a sliding window is all that a token sees", async () => {
  const { operations, config, sites, ofKey } = await ofTiny("mistral", 40, "run");
  const window = config["sliding_window"]!;
  expect(window).toBeLessThan(40);
  let pairs = 0;
  for (let token = 0; token < 40; token++) pairs += Math.min(token + 1, window);
  const weights = sites.reduce((sum, { in: width, out }) => sum + width * out, 0);
  expect(operations).toBe(40 * 2 * weights + ofKey * pairs);
});
