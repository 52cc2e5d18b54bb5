import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open.js";
import { copySequence, createCache } from "../../src/engine/cache.js";
import { describe as describeProgram } from "../../src/engine/describe.js";
import type { Engine, Observable } from "../../src/engine/engine.js";
import type { Program } from "../../src/engine/operations.js";
import { type Model, openModel } from "../../src/model/model.js";
import { narrow, widen } from "../../src/tensor/dtype.js";
import type { FloatArray } from "../../src/tensor/matrix.js";
import { largest, largestDifference, relativeDifference } from "../support/differences.js";
import { availableEngines, engineCases } from "../support/engines.js";
import { forward, greedy } from "../support/forward.js";
import { tinyModel, tinyModels, tinyModelsFor } from "../support/models.js";
import { readSafetensors, type Tensor } from "../support/safetensors.js";

/** Largest absolute difference from transformers' logits (itself within 1e-5 of float64; see the models' README). */
const TOLERANCE = { float64: 2e-5, float32: 1e-4 };

/** Half a unit in the last place of a bfloat16, relative: what rounding a number to it costs at most. */
const BFLOAT16 = 2 ** -8;
/** How far PyTorch's own bfloat16 is from float32, by model: root mean square over root mean square of the logits. */
const TORCH_BFLOAT16: Readonly<Record<string, number>> = JSON.parse(
  readFileSync(new URL("../fixtures/bfloat16/deviations.json", import.meta.url), "utf8"),
);

const folders = tinyModels;
const enginesFor = (folder: string) => availableEngines.filter(({ device }) => tinyModelsFor(device).includes(folder));
const reference = engineCases.find(({ engine }) => engine === "reference")!;

describe("tiny models against transformers' logits", () => {
  for (const { title, isSkipped, device, create } of engineCases) {
    describe.skipIf(isSkipped)(title, () => {
      let engine: Engine;
      beforeAll(() => {
        engine = create();
      });
      afterAll(() => engine.dispose());

      it.each(tinyModelsFor(device))("%s: logits, hidden states after every block, greedy ids", async (folder) => {
        const checkpoint = await openCheckpoint(tinyModel(folder));
        try {
          await compare(
            openModel(checkpoint),
            engine,
            folder,
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
  const product = (of: Float32Array, i: number, j: number) => {
    let sum = 0;
    for (let row = 0; row < rows; row++) sum += of[row * size + i]! * of[row * size + j]!;
    return sum;
  };

  it.each(availableEngines)("$title", async ({ precision, create }) => {
    // Of what linears read: the numbers as the precision makes them.
    const factors = precision === "bfloat16" ? widen(narrow(data, "BF16"), "BF16") : data;
    const engine = create();
    try {
      const executable = await engine.compile(program);
      const x = { data, windows: 2, tokens: rows / 2 };
      const half = { data: data.subarray(0, (rows / 2) * size), windows: 1, tokens: rows / 2 };
      const sumsOf = async (what: Observable, runs: number) => {
        const observation = executable.observe(what);
        for (let run = 0; run < runs; run++) await observation.add(x, weights);
        await observation.add(half, weights);
        await observation.add({ ...half, data: data.subarray((rows / 2) * size) }, weights);
        return observation.sums()[0]!;
      };
      // Twice: a second observation begins at 0 again.
      for (const runs of [8, 2]) {
        const squares = await sumsOf("squaredNorms", runs);
        const gram = await sumsOf("gram", runs);
        for (let i = 0; i < size; i += 13) {
          expect(squares[i]! / (runs + 1) / product(factors, i, i)).toBeCloseTo(1, 6);
          for (let j = 0; j <= i; j += 17) {
            expect(Math.abs(gram[i * size + j]! / (runs + 1) - product(factors, i, j))).toBeLessThan(2e-3);
          }
          for (let j = i + 1; j < size; j += 17) expect(gram[i * size + j]).toBe(0);
        }
      }
    } finally {
      await engine.dispose();
    }
  });
});

describe("statistics of every family's sites, against the reference engine", () => {
  it.each(folders)("%s", async (folder) => {
    const [expected, ...others] = [reference, ...enginesFor(folder)].map(({ create }) => create());
    const checkpoint = await openCheckpoint(tinyModel(folder));
    try {
      const model = openModel(checkpoint);
      const layer = model.layers[0]!;
      const weights = await model.layerWeights(expected!, layer);
      const { inputs } = describeProgram(layer.program);
      // Few tokens, so that some experts may get none.
      for (const tokens of [40, 1]) {
        const data = await model.embed(Int32Array.from({ length: tokens }, (_, i) => (i * i + 3) % 128));
        const observe = async (engine: Engine, what: Observable) => {
          const observation = (await engine.compile(layer.program)).observe(what);
          const rows = await observation.add({ data, windows: 1, tokens }, weights);
          return { sums: observation.sums(), rows };
        };
        for (const what of ["squaredNorms", "gram"] as const) {
          const { sums, rows } = await observe(expected!, what);
          for (const [i, { gathered }] of inputs.entries()) if (!gathered) expect(rows[i]).toBe(tokens);
          for (const engine of others) {
            const ours = await observe(engine, what);
            expect(ours.rows).toEqual(rows);
            // A sum's two factors are products themselves, of two that were each computed from rounded factors.
            const relative = engine.precision === "bfloat16" ? 8 * BFLOAT16 : 1e-5;
            for (const [i, sum] of sums.entries()) {
              const difference = largestDifference(ours.sums[i]!, sum);
              expect(difference, `${nameOf(engine)} ${what} of input ${i}`).toBeLessThanOrEqual(
                relative * largest(sum),
              );
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
      const [expected, ...others] = [reference, ...enginesFor(folder)].map(({ create }) => create());
      const checkpoint = await openCheckpoint(tinyModel(folder));
      try {
        const model = openModel(checkpoint);
        const windows = [0, 1].map((w) => Int32Array.from({ length: 450 }, (_, i) => (i * i + 7 * w) % 128));
        const { logits } = await forward(model, expected!, windows);
        for (const engine of others) {
          const { logits: ours } = await forward(model, engine, windows);
          expectNear(engine, folder, ours, logits, "logits");
        }
      } finally {
        await checkpoint.close();
        for (const engine of [expected!, ...others]) await engine.dispose();
      }
    },
  );
});

describe("attention with more scores than are computed at once, against the reference engine", () => {
  // Two windows of five heads of keys, which engines may take in groups that do not end where a window does.
  const [windows, tokens, columns] = [2, 600, 12];
  const shape = { heads: 40, keyValueHeads: 5, headSize: 4, scale: 0.5 };
  const out = { q: 160, k: 20, v: 20 };
  const program: Program = {
    key: "many heads",
    columns: { in: columns, out: out.q },
    build: (g, x) => {
      const [q, k, v] = (["q", "k", "v"] as const).map((name) =>
        g.linear(x, { name, in: columns, out: out[name], bias: false }),
      );
      return g.attention(q!, k!, v!, shape);
    },
  };
  const numbers = (length: number, seed: number) => Float32Array.from({ length }, (_, i) => Math.sin(seed + i * i));
  const weights = new Map(
    Object.entries(out).map(([name, count], seed) => [`${name}.weight`, numbers(count * columns, seed)]),
  );
  const data = numbers(windows * tokens * columns, 9);
  const run = async (engine: Engine) => {
    try {
      return await (await engine.compile(program)).run({ data, windows, tokens }, weights);
    } finally {
      await engine.dispose();
    }
  };

  it.each(availableEngines.filter(({ engine }) => engine !== "reference"))("$title", async ({ precision, create }) => {
    const expected = await run(reference.create());
    const ours = await run(create());
    // Of sums of products of two rounded numbers, a few in a row: x, weights, scores, shares.
    expect(relativeDifference(ours, expected)).toBeLessThan(precision === "bfloat16" ? 4 * BFLOAT16 : 1e-5);
  });
});

describe("tokens that extend a cache give what whole windows give", () => {
  for (const { title, isSkipped, device, create } of engineCases) {
    it.skipIf(isSkipped).each(tinyModelsFor(device))(`${title}: %s`, async (folder) => {
      const engine = create();
      const checkpoint = await openCheckpoint(tinyModel(folder));
      try {
        const model = openModel(checkpoint);
        // Prompts of different lengths, the second in two pieces; then all sequences one token at a time; then one moves.
        const windows = [9, 14, 5].map((length, w) =>
          Int32Array.from({ length }, (_, i) => (i * i * 5 + 11 * w) % 128),
        );
        for (const [layer, { program }] of model.layers.entries()) {
          const weights = await model.layerWeights(engine, model.layers[layer]!);
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
              // In bfloat16 queries, keys, their shares and values are rounded over whole windows, and not over a cache: two
              // ways to compute, each of which may be as far from exact as PyTorch is.
              if (engine.precision === "bfloat16") {
                expect(relativeDifference(ours, expected)).toBeLessThan(2 * TORCH_BFLOAT16[folder]!);
              } else {
                expect(largestDifference(ours, expected)).toBeLessThan(digitsOf(engine, expected));
              }
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
  for (const { title, isSkipped, device, create } of engineCases) {
    it.skipIf(isSkipped).each(tinyModelsFor(device))(`${title}: %s`, async (folder) => {
      const engine = create();
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
          const weights = await model.layerWeights(engine, layer);
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
            const expected = whole.subarray(whole.length - length);
            expect(largestDifference(ours, expected), `segment ${s}`).toBeLessThan(digitsOf(engine, expected));
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

describe("a linear in bfloat16 is the product of the rounded factors", () => {
  const [rows, inputs, outputs] = [7, 100, 33];
  const linear = { name: "l", in: inputs, out: outputs, bias: true };
  const program: Program = { key: "l", columns: { in: inputs, out: outputs }, build: (g, x) => g.linear(x, linear) };
  const numbers = (length: number, seed: number) => Float32Array.from({ length }, (_, i) => Math.sin(i * i + seed));
  const rounded = (values: Float32Array) => widen(narrow(values, "BF16"), "BF16");

  for (const { title, isSkipped, create, precision } of engineCases) {
    if (precision !== "bfloat16") continue;
    it.skipIf(isSkipped)(title, async () => {
      const engine = create();
      try {
        const executable = await engine.compile(program);
        const bias = numbers(outputs, 3);
        // Other weights in the same program; other numbers of rows.
        for (const [seed, count] of [
          [1, rows],
          [2, rows],
          [1, 1],
          [2, 40],
        ] as const) {
          const x = numbers(count * inputs, 5);
          const weight = numbers(outputs * inputs, seed);
          const weights = new Map([
            ["l.weight", weight],
            ["l.bias", bias],
          ]);
          const y = await executable.run({ data: x, windows: 1, tokens: count }, weights);
          const [a, b] = [rounded(x), rounded(weight)];
          for (let row = 0; row < count; row++) {
            for (let out = 0; out < outputs; out++) {
              let sum = bias[out]!;
              for (let i = 0; i < inputs; i++) sum += a[row * inputs + i]! * b[out * inputs + i]!;
              expect(Math.abs(y[row * outputs + out]! - sum)).toBeLessThan(2e-5);
            }
          }
        }
      } finally {
        await engine.dispose();
      }
    });
  }
});

async function compare(model: Model, engine: Engine, folder: string, expected: Map<string, Tensor>): Promise<void> {
  const ids = expected.get("input_ids")!;
  const [windows, tokens] = ids.shape as [number, number];
  const inputs = Array.from({ length: windows }, (_, w) =>
    Int32Array.from(ids.data.slice(w * tokens, (w + 1) * tokens)),
  );
  const { logits, hiddenStates } = await forward(model, engine, inputs);
  for (const [layer, states] of hiddenStates.entries()) {
    expectNear(engine, folder, states, expected.get(`hidden_states.${layer}`)!.data, `block ${layer}`);
  }
  expect(hiddenStates).toHaveLength(3);
  expectNear(engine, folder, logits, expected.get("logits")!.data, "logits");
  if (engine.precision === "bfloat16") return; // two tokens may be about as likely
  const continuation = expected.get("greedy")!.data;
  expect(await greedy(model, engine, inputs[0]!, continuation.length)).toEqual([...continuation]);
}

/** In bfloat16 no further off than PyTorch in bfloat16 is. */
function expectNear(
  engine: Engine,
  folder: string,
  ours: ArrayLike<number>,
  expected: ArrayLike<number>,
  what: string,
): void {
  const { precision } = engine;
  if (precision === "bfloat16") {
    expect(relativeDifference(ours, expected), what).toBeLessThan(TORCH_BFLOAT16[folder]!);
  } else {
    expect(largestDifference(ours, expected), `${nameOf(engine)}: ${what}`).toBeLessThan(TOLERANCE[precision]);
  }
}

/** What sums in another order may change of numbers: in bfloat16 a factor may then be rounded the other way. */
function digitsOf({ precision }: Engine, numbers: ArrayLike<number>): number {
  return { float64: 1e-12, float32: 1e-5, bfloat16: BFLOAT16 * largest(numbers) }[precision];
}

const nameOf = ({ name, precision }: Engine): string => `${name} in ${precision}`;
