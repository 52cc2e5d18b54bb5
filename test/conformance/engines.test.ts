import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open.js";
import { copySequence, createCache } from "../../src/engine/cache.js";
import { describe as describeProgram } from "../../src/engine/describe.js";
import type { Engine } from "../../src/engine/engine.js";
import type { Program } from "../../src/engine/operations.js";
import { createEngine, engines } from "../../src/engine/registry.js";
import { type Model, openModel } from "../../src/model/model.js";
import type { FloatArray } from "../../src/tensor/matrix.js";
import { forward, greedy } from "../support/forward.js";
import { tinyModel, tinyModels } from "../support/models.js";
import { readSafetensors, type Tensor } from "../support/safetensors.js";

/** Largest absolute difference from transformers' logits (itself within 1e-5 of float64; see the models' README). */
const TOLERANCE = { float64: 2e-5, float32: 1e-4 };

const folders = tinyModels;

describe("tiny models against transformers' logits", () => {
  for (const { name, create } of engines) {
    describe(name, () => {
      let engine: Engine;
      beforeAll(() => {
        engine = create({});
      });
      afterAll(() => engine.dispose());

      it.each(folders)("%s: logits, hidden states after every block, greedy ids", async (folder) => {
        const checkpoint = await openCheckpoint(tinyModel(folder));
        try {
          await compare(
            openModel(checkpoint),
            engine,
            readSafetensors(join(tinyModel(folder), "expected.safetensors")),
          );
        } finally {
          await checkpoint.close();
        }
      });
    });
  }
});

describe("statistics of a linear's input are the sums over its rows", () => {
  const size = 600; // above what is cut into bands
  const rows = 70; // no multiple of what is summed at once
  const data = Float32Array.from({ length: rows * size }, (_, i) => Math.sin(i * i) * (1 + (i % 7)));
  const linear = { name: "wide", in: size, out: 2, bias: false };
  const program: Program = { key: "wide", columns: { in: size, out: 2 }, build: (g, x) => g.linear(x, linear) };
  const weights = new Map([["wide.weight", new Float32Array(2 * size)]]);
  const column = (j: number) => Float64Array.from({ length: rows }, (_, row) => data[row * size + j]!);
  const product = (i: number, j: number) => column(i).reduce((sum, value, row) => sum + value * column(j)[row]!, 0);

  it.each(engines.map(({ name }) => name))("%s", async (name) => {
    const engine = createEngine(name);
    try {
      const executable = await engine.compile(program);
      const x = { data, windows: 2, tokens: rows / 2 };
      const squares = new Float64Array(size).fill(1); // what is there already stays
      const gram = new Float64Array(size * size);
      await executable.observe(x, weights, "squaredNorms", [squares]);
      await executable.observe(x, weights, "gram", [gram]);
      for (let i = 0; i < size; i += 13) {
        expect((squares[i]! - 1) / product(i, i)).toBeCloseTo(1, 6);
        for (let j = 0; j <= i; j += 17) expect(Math.abs(gram[i * size + j]! - product(i, j))).toBeLessThan(2e-3);
      }
    } finally {
      await engine.dispose();
    }
  });
});

describe("statistics of every family's sites, against the reference engine", () => {
  it.each(folders)("%s", async (folder) => {
    const [expected, ...others] = ["reference", ...engines.map(({ name }) => name)].map((name) => createEngine(name));
    const checkpoint = await openCheckpoint(tinyModel(folder));
    try {
      const model = openModel(checkpoint);
      const layer = model.layers[0]!;
      const weights = await model.layerWeights(layer);
      const { inputs } = describeProgram(layer.program);
      // Few tokens, so that some experts may get none.
      for (const tokens of [40, 1]) {
        const data = await model.embed(Int32Array.from({ length: tokens }, (_, i) => (i * i + 3) % 128));
        const observe = async (engine: Engine, what: "squaredNorms" | "gram") => {
          const sums = inputs.map(({ columns }) => new Float64Array(what === "gram" ? columns ** 2 : columns));
          const executable = await engine.compile(layer.program);
          return { sums, rows: await executable.observe({ data, windows: 1, tokens }, weights, what, sums) };
        };
        for (const what of ["squaredNorms", "gram"] as const) {
          const { sums, rows } = await observe(expected!, what);
          for (const [i, { gathered }] of inputs.entries()) if (!gathered) expect(rows[i]).toBe(tokens);
          for (const engine of others) {
            const ours = await observe(engine, what);
            expect(ours.rows).toEqual(rows);
            for (const [i, sum] of sums.entries()) {
              const largest = Math.max(...sum.map(Math.abs));
              const difference = largestDifference(ours.sums[i]!, sum);
              expect(difference, `${engine.name} ${what} of input ${i}`).toBeLessThanOrEqual(1e-5 * largest);
            }
          }
        }
      }
    } finally {
      await checkpoint.close();
      for (const engine of [expected!, ...others]) await engine.dispose();
    }
  });
});

describe("windows longer than any chunk of attention, against the reference engine", () => {
  it.each(folders.filter((folder) => /^(llama3-rope|mistral|gemma2|bloom|mixtral|glm4)$/.test(folder)))(
    "%s",
    async (folder) => {
      const [expected, ...others] = ["reference", ...engines.map(({ name }) => name)].map((name) => createEngine(name));
      const checkpoint = await openCheckpoint(tinyModel(folder));
      try {
        const model = openModel(checkpoint);
        const windows = [0, 1].map((w) => Int32Array.from({ length: 450 }, (_, i) => (i * i + 7 * w) % 128));
        const { logits } = await forward(model, expected!, windows);
        for (const engine of others) {
          const { logits: ours } = await forward(model, engine, windows);
          expect(largestDifference(ours, logits), engine.name).toBeLessThan(TOLERANCE.float32);
        }
      } finally {
        await checkpoint.close();
        for (const engine of [expected!, ...others]) await engine.dispose();
      }
    },
  );
});

describe("tokens that extend a cache give what whole windows give", () => {
  for (const { name, create } of engines) {
    it.each(folders)(`${name}: %s`, async (folder) => {
      const engine = create({});
      const checkpoint = await openCheckpoint(tinyModel(folder));
      try {
        const model = openModel(checkpoint);
        // Prompts of different lengths, the second in two pieces; then all sequences one token at a time; then one moves.
        const windows = [9, 14, 5].map((length, w) =>
          Int32Array.from({ length }, (_, i) => (i * i * 5 + 11 * w) % 128),
        );
        for (const [layer, { program }] of model.layers.entries()) {
          const weights = await model.layerWeights(model.layers[layer]!);
          const executable = await engine.compile(program);
          const inputs = await Promise.all(windows.map((ids) => model.embed(ids)));
          const whole: FloatArray[] = [];
          for (const [w, data] of inputs.entries()) {
            whole.push(await executable.run({ data, windows: 1, tokens: windows[w]!.length }, weights));
          }
          const cache = createCache(program, engine, 4, 16);
          const columns = program.columns.in;
          const lengths = [0, 0, 0, 0];
          const extend = async (slots: readonly number[], from: readonly number[], tokens: number) => {
            const data = new Float32Array(from.length * tokens * columns);
            for (const [i, w] of from.entries()) {
              const at = lengths[slots[i]!]! * columns;
              data.set(inputs[w]!.subarray(at, at + tokens * columns), i * tokens * columns);
            }
            const place = { cache, first: slots[0]!, lengths: slots.map((slot) => lengths[slot]!) };
            const output = await executable.extend({ data, windows: from.length, tokens }, weights, place);
            for (const [i, w] of from.entries()) {
              const at = lengths[slots[i]!]! * columns;
              const expected = whole[w]!.subarray(at, at + tokens * columns);
              const ours = output.subarray(i * tokens * columns, (i + 1) * tokens * columns);
              expect(largestDifference(ours, expected)).toBeLessThan(engine.precision === "float64" ? 1e-12 : 1e-5);
              lengths[slots[i]!]! += tokens;
            }
          };
          await extend([0], [0], 6);
          await extend([1], [1], 3);
          await extend([1], [1], 8);
          await extend([2], [2], 2);
          for (let step = 0; step < 3; step++) await extend([0, 1, 2], [0, 1, 2], 1);
          copySequence(cache, 1, 3, 13);
          lengths[3] = 13; // the last token of the second window is not yet there
          lengths[1] = 13;
          await extend([3], [1], 1);
        }
      } finally {
        await checkpoint.close();
        await engine.dispose();
      }
    });
  }
});

describe("segments of a window give what windows of their own give", () => {
  for (const { name, create } of engines) {
    it.each(folders)(`${name}: %s`, async (folder) => {
      const engine = create({});
      const checkpoint = await openCheckpoint(tinyModel(folder));
      try {
        const model = openModel(checkpoint);
        const ids = (length: number, seed: number) => Array.from({ length }, (_, i) => (i * i * 3 + 13 * seed) % 128);
        // A text with two continuations, one of which goes on in two ways; another text; and enough for several chunks,
        // where positions are not learned for a few tokens only.
        const most = /^(gpt2|opt)$/.test(model.family) ? 50 : 300;
        const segments = [
          { tokens: 9 },
          { tokens: 4, continues: 0 },
          { tokens: 7, continues: 0 },
          { tokens: 6 },
          { tokens: 3, continues: 2 },
          { tokens: 5, continues: 2 },
          { tokens: most },
          { tokens: 8, continues: 6 },
        ];
        const parts = segments.map(({ tokens }, s) => ids(tokens, s));
        const chains = [[0], [0, 1], [0, 2], [3], [0, 2, 4], [0, 2, 5], [6], [6, 7]];
        const packed = Int32Array.from(parts.flat());
        for (const layer of model.layers) {
          const weights = await model.layerWeights(layer);
          const executable = await engine.compile(layer.program);
          const run = async (all: Int32Array, own?: typeof segments) => {
            const x = { data: await model.embed(all), windows: 1, tokens: all.length, segments: own };
            return executable.run(x, weights);
          };
          const output = await run(packed, segments);
          let begin = 0;
          for (const [s, chain] of chains.entries()) {
            const columns = layer.program.columns.out;
            const whole = await run(Int32Array.from(chain.flatMap((part) => parts[part]!)));
            const length = parts[s]!.length * columns;
            const ours = output.subarray(begin, begin + length);
            expect(largestDifference(ours, whole.subarray(whole.length - length)), `segment ${s}`).toBeLessThan(
              engine.precision === "float64" ? 1e-12 : 1e-5,
            );
            begin += length;
          }
        }
      } finally {
        await checkpoint.close();
        await engine.dispose();
      }
    });
  }
});

async function compare(model: Model, engine: Engine, expected: Map<string, Tensor>): Promise<void> {
  const ids = expected.get("input_ids")!;
  const [windows, tokens] = ids.shape as [number, number];
  const inputs = Array.from({ length: windows }, (_, w) =>
    Int32Array.from(ids.data.slice(w * tokens, (w + 1) * tokens)),
  );
  const { logits, hiddenStates } = await forward(model, engine, inputs);
  const tolerance = TOLERANCE[engine.precision];
  for (const [layer, states] of hiddenStates.entries()) {
    expect(largestDifference(states, expected.get(`hidden_states.${layer}`)!.data), `block ${layer}`).toBeLessThan(
      tolerance,
    );
  }
  expect(hiddenStates).toHaveLength(3);
  expect(largestDifference(logits, expected.get("logits")!.data), "logits").toBeLessThan(tolerance);
  const continuation = expected.get("greedy")!.data;
  expect(await greedy(model, engine, inputs[0]!, continuation.length)).toEqual([...continuation]);
}

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!));
  return largest;
}
