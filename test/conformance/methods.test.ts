import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { multiply } from "../../src/engine/reference/products.js";
import type { Method, MethodContext, Statistics, Target } from "../../src/methods/method.js";
import { methods } from "../../src/methods/registry.js";
import { sparsegpt } from "../../src/methods/sparsegpt.js";
import { countZeros, parseTarget } from "../../src/methods/target.js";
import type { Matrix } from "../../src/tensor/matrix.js";

const context: MethodContext = {
  multiply: async (a, b) => multiply(a, b),
  shared: (_, compute) => compute(),
  warn(message) {
    throw new Error(`no warning was due: ${message}`);
  },
};

/** Numbers from -1 to 1, the same every time. */
function noise(length: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

const ROWS = 24;
const COLUMNS = 272; // two blocks of 128 columns and a rest
const TOKENS = 400;

function weightOf(rows: number, columns: number): Matrix<Float32Array> {
  return { rows, columns, data: noise(rows * columns, 7) };
}

function statisticsOf(columns: number): Statistics {
  const x = noise(TOKENS * columns, 11);
  const gram = new Float64Array(columns * columns);
  for (let t = 0; t < TOKENS; t++) {
    for (let i = 0; i < columns; i++) {
      for (let j = 0; j < columns; j++) gram[i * columns + j]! += x[t * columns + i]! * x[t * columns + j]!;
    }
  }
  const squaredNorms = Float64Array.from({ length: columns }, (_, j) => gram[j * columns + j]!);
  return { windows: 4, tokens: TOKENS, squaredNorms, gram: { rows: columns, columns, data: gram } };
}

const weight = weightOf(ROWS, COLUMNS);
const statistics = statisticsOf(COLUMNS);
const run = (method: Method, target: Target, given = statistics, w = weight) =>
  method.compress(w, given, target, method.options.parse({}), context);

it("has every method under its own name", () => {
  const names = methods.map((method) => method.name);
  expect(names).toEqual(expect.arrayContaining(["magnitude", "wanda", "sparsegpt"]));
  expect(new Set(names).size).toBe(names.length);
});

describe.each(methods.map((method) => [method.name, method] as const))("method %s", (_, method) => {
  it("says what it is in one line and where it comes from", () => {
    expect(method.summary).toMatch(/^[^\n]{10,}$/);
    expect(method.source).toMatch(/\d{4}/);
  });

  it.each([0.1, 0.3, 0.5, 0.75, 0.99])("reaches a sparsity of %d, keeping shape and input", async (sparsity) => {
    const before = weight.data.slice();
    const result = await run(method, { kind: "unstructured", sparsity });
    expect(weight.data).toEqual(before);
    expect([result.rows, result.columns, result.data.length]).toEqual([ROWS, COLUMNS, ROWS * COLUMNS]);
    expect(result.data.every(Number.isFinite)).toBe(true);
    // A row or a block rounds down and a threshold takes one value more, never more than that.
    const aimed = ROWS * COLUMNS * sparsity;
    expect(countZeros(result.data)).toBeGreaterThan(aimed - ROWS);
    expect(countZeros(result.data)).toBeLessThanOrEqual(aimed + Math.ceil(COLUMNS / 128));
  });

  it.each(["1:4", "2:4", "4:8", "3:17"])("zeroes exactly n of every m inputs: %s", async (pattern) => {
    const target = parseTarget({ pattern });
    if (target.kind !== "n:m") throw new Error("a pattern was given");
    const { data } = await run(method, target);
    for (let begin = 0; begin < data.length; begin += target.m) {
      expect(countZeros(data.subarray(begin, begin + target.m))).toBe(target.n);
    }
  });

  it("keeps the weight as it is for sparsity 0", async () => {
    const result = await run(method, { kind: "unstructured", sparsity: 0 });
    expect(result.data).toEqual(weight.data);
    expect(result.data).not.toBe(weight.data);
  });

  it("does the same twice", async () => {
    const target: Target = { kind: "unstructured", sparsity: 0.4 };
    expect((await run(method, target)).data).toEqual((await run(method, target)).data);
  });

  it("refuses a pattern that does not divide the rows", async () => {
    const narrow = weightOf(3, 10);
    await expect(run(method, { kind: "n:m", n: 2, m: 4 }, statisticsOf(10), narrow)).rejects.toThrow(/2:4.*10 inputs/);
  });

  it("refuses an option that it does not have", () => {
    expect(method.options.safeParse({ nonsense: 1 }).success).toBe(false);
  });

  if (method.needs === "nothing") return;

  it("says which statistics are missing, of another size or not finite", async () => {
    const target: Target = { kind: "unstructured", sparsity: 0.5 };
    await expect(run(method, target, { windows: 4, tokens: 8 })).rejects.toThrow(/needs.*272 inputs.*none/);
    await expect(run(method, target, { ...statistics, windows: 0 })).rejects.toThrow(/needs.*0 windows/);
    await expect(run(method, target, statisticsOf(8))).rejects.toThrow(/needs.*272 inputs.*8/);
    const overflown = structuredClone(statistics);
    overflown.squaredNorms![3] = Number.POSITIVE_INFINITY;
    overflown.gram!.data[3 * COLUMNS + 3] = Number.POSITIVE_INFINITY;
    await expect(run(method, target, overflown)).rejects.toThrow(/input 3/);
  });
});

interface TorchCase {
  readonly method: string;
  readonly weight: "plain" | "ties";
  readonly sparsity?: number;
  readonly pattern?: string;
  readonly blockSize?: number;
  readonly damping?: number;
  readonly zeros: readonly string[];
  readonly values?: readonly number[];
}

describe("against PyTorch (how the fixture was made is said in its field `made`)", () => {
  const fixture = JSON.parse(readFileSync(new URL("../fixtures/methods/torch.json", import.meta.url), "utf8"));
  const [rows, columns] = fixture.shape;
  const given: Statistics = {
    windows: fixture.windows,
    tokens: fixture.tokens,
    squaredNorms: Float64Array.from(fixture.squaredNorms),
    gram: { rows: columns, columns, data: Float64Array.from(fixture.gram) },
  };
  const cases: readonly TorchCase[] = fixture.cases;

  it.each(cases.map((c) => [c.method, c.pattern ?? c.sparsity, c.weight, c] as const))(
    "%s %s on %s weights: the same mask",
    async (name, _target, _weight, c) => {
      const method = methods.find((m) => m.name === name)!;
      const options = method.options.parse(c.blockSize ? { blockSize: c.blockSize, damping: c.damping } : {});
      const { sparsity, pattern } = c;
      const target = parseTarget(pattern ? { pattern } : { sparsity: sparsity! });
      const w = { rows, columns, data: Float32Array.from(fixture.weights[c.weight]) };
      const { data } = await method.compress(w, given, target, options, context);
      const mask = Array.from({ length: rows }, (_, r) =>
        Array.from(data.subarray(r * columns, (r + 1) * columns), (value) => (value === 0 ? "1" : "0")).join(""),
      );
      expect(mask).toEqual(c.zeros);
      // PyTorch worked in float32: a few parts in 10⁶ of the largest weight, 0.4.
      for (const [i, value] of (c.values ?? []).entries()) expect(Math.abs(data[i]! - value)).toBeLessThan(4e-6);
    },
  );
});

describe("sparsegpt and a Hessian that is not positive definite", () => {
  const target: Target = { kind: "unstructured", sparsity: 0.5 };
  const small = weightOf(4, 2);
  const indefinite = (off: number): Statistics => ({
    windows: 2,
    tokens: 2,
    gram: { rows: 2, columns: 2, data: Float64Array.of(1, off, off, 1) },
  });

  it("raises the damping tenfold with a warning each time", async () => {
    // Eigenvalues 1 ± 1.5: positive with a damping over 0.5 of the mean diagonal.
    const warnings: string[] = [];
    const warn = (message: string) => void warnings.push(message);
    const options = { damping: 0.01, blockSize: 128 };
    await sparsegpt.compress(small, indefinite(1.5), target, options, { ...context, warn });
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toMatch(/damping 0\.01: trying 0\.1$/);
    expect(warnings[1]).toMatch(/damping 0\.1: trying 1$/);
  });

  it("gives up at a limit", async () => {
    const options = { damping: 0.01, blockSize: 128 };
    const attempt = sparsegpt.compress(small, indefinite(1e6), target, options, { ...context, warn: () => {} });
    await expect(attempt).rejects.toThrow(/not positive definite.*damping up to 100 /);
    await expect(attempt).rejects.toHaveProperty("name", "RunError");
  });
});
