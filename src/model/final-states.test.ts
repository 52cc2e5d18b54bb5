import { afterAll, beforeAll, expect, test } from "vitest";
import { carriedModel } from "../../test/support/carried.js";
import type { Checkpoint } from "../checkpoint/checkpoint.js";
import { openCheckpoint } from "../checkpoint/open.js";
import type { Engine } from "../engine/engine.js";
import { createEngine } from "../engine/registry.js";
import { createFinalStates, type FinalStates } from "./final-states.js";
import { type Model, openModel } from "./model.js";
import { scoreContinuations, scoreWindows } from "./score.js";

let checkpoint: Checkpoint;
let model: Model;
let engine: Engine;
/** Runs of blocks, not of heads. */
let runs = 0;

beforeAll(async () => {
  checkpoint = await openCheckpoint(carriedModel);
  model = openModel(checkpoint);
  const inner = createEngine("reference");
  engine = {
    ...inner,
    async compile(program) {
      const executable = await inner.compile(program);
      if (program === model.architecture.head) return executable;
      return {
        ...executable,
        run(...args) {
          runs++;
          return executable.run(...args);
        },
      };
    },
  };
});
afterAll(async () => {
  await engine.dispose();
  await checkpoint.close();
});

const windows = [20, 20, 31].map((length, w) =>
  Int32Array.from({ length }, (_, i) => 3 + ((w * 131 + i * i * 7) % 500)),
);
const text = Array.from(windows[0]!);
const continuations = [
  { ids: text, from: 12 },
  { ids: [...text.slice(0, 12), 5, 6], from: 12 },
  { ids: text.slice(0, 8), from: 3 },
];

async function read(states: FinalStates | undefined): Promise<number[]> {
  const logits: number[] = [];
  const score = ([some]: readonly ArrayLike<number>[]) => void logits.push(...Array.from(some!));
  await scoreWindows([{ model, states }], engine, windows, score);
  await scoreContinuations([{ model, states }], engine, continuations, score);
  return logits;
}

test("what was read before is not computed again, and is the same", async () => {
  const plain = await read(undefined);
  const states = createFinalStates(2 ** 30);
  expect(await read(states)).toEqual(plain);
  runs = 0;
  expect(await read(states)).toEqual(plain);
  expect(runs).toBe(0);
});

test("what there is no room for is computed again", async () => {
  const plain = await read(undefined);
  // The two windows of 20 tokens, in float64, and nothing else.
  const states = createFinalStates(2 * 20 * model.architecture.hiddenSize * 8);
  expect(await read(states)).toEqual(plain);
  runs = 0;
  expect(await read(states)).toEqual(plain);
  // The window of 31 tokens, and the continuations, which go through the blocks together.
  expect(runs).toBe(2 * model.layers.length);
});
