import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { temporaryFolder } from "../../test/malformed/safetensors.js";
import { carriedModel } from "../../test/support/carried.js";
import { observe } from "../calibration/statistics.js";
import { openCheckpoint } from "../checkpoint/open.js";
import type { Engine } from "../engine/engine.js";
import { createEngine } from "../engine/registry.js";
import type { FloatArray } from "../tensor/matrix.js";
import { type Batches, embedWindows, propagate } from "./batches.js";
import { type Model, openModel } from "./model.js";
import { scoreContinuations, scoreWindows } from "./score.js";
import { spillWindows } from "./spill.js";

let model: Model;
let engine: Engine;
beforeAll(async () => {
  model = openModel(await openCheckpoint(carriedModel));
  engine = createEngine(undefined);
});
afterAll(async () => {
  await engine.dispose();
  await model.checkpoint.close();
});

const ids = (length: number, seed: number) =>
  Int32Array.from({ length }, (_, i) => 3 + ((seed * 131 + i * i * 7) % 500));
/** Several batches of one shape, and some of others. */
const windows = [...Array.from({ length: 9 }, (_, w) => ids(256, w)), ids(100, 9), ids(300, 10), ids(100, 11)];

/** Of the very bits: comparing the numbers one by one takes long. */
const digest = (numbers: FloatArray) =>
  createHash("sha256")
    .update(new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength))
    .digest("hex");

/** Two layers: what their sites read, and what they put out. */
async function runLayers(batches: Batches): Promise<unknown> {
  const statistics: unknown[] = [];
  for (const layer of model.layers.slice(0, 2)) {
    const weights = await model.layerWeights(engine, layer);
    const executable = await engine.compile(layer.program);
    const seen = await observe(executable, layer.program, batches, weights, "gram", () => {});
    statistics.push(seen.map(({ gram, ...counts }) => [counts, digest(gram!.data)]));
    await propagate(executable, batches, weights, () => {});
  }
  const hidden: string[] = [];
  for await (const batch of batches) hidden.push(digest(batch.hidden));
  return { statistics, hidden };
}

it("hidden states on disk are those in memory, to the last bit", async () => {
  const folder = await temporaryFolder();
  const spilled = await spillWindows(model, engine, windows, join(folder, "hidden"));
  const expected = await runLayers(await embedWindows(model, engine, windows));
  expect(await runLayers(spilled)).toEqual(expected);
  await spilled.close();
  expect(await readdir(folder)).toEqual([]);
});

it.skipIf(process.platform === "win32")(
  "their file has no name, so that nothing is left of a process that dies",
  async () => {
    const folder = await temporaryFolder();
    const spilled = await spillWindows(model, engine, windows, join(folder, "hidden"));
    expect(await readdir(folder)).toEqual([]);
    await spilled.close();
  },
);

it("logits do not depend on how many hidden states are held at once", async () => {
  const continuations = Array.from({ length: 40 }, (_, i) => ({ ids: ids(80 + (i % 3), Math.floor(i / 4)), from: 60 }));
  const run = async (hiddenBytes?: number) => {
    let collected = 0;
    const limits = hiddenBytes === undefined ? undefined : { hiddenBytes, collectGarbage: () => void collected++ };
    const seen: unknown[] = [];
    const score = ([logits]: readonly FloatArray[], targets: Int32Array, from: number) => {
      // How the positions are divided does not matter: each by itself.
      for (const [i, target] of targets.entries()) {
        const size = model.architecture.vocabularySize;
        seen.push([from + i, target, digest(logits!.subarray(i * size, (i + 1) * size))]);
      }
    };
    await scoreWindows([{ model }, { model }], engine, windows.slice(6), score, { limits });
    await scoreContinuations([{ model }], engine, continuations, score, { limits });
    return { seen, collected };
  };
  const whole = await run();
  const pieces = await run(1);
  expect(pieces.seen).toEqual(whole.seen);
  // A group a batch, of two models: three windows of 256, three others; and continuations in some more.
  expect(pieces.collected).toBeGreaterThan(2 * (2 * 4 + 2) * model.layers.length);
  expect(whole.collected).toBe(0);
});
