import { Session } from "node:inspector/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { engineCases } from "../../../test/support/engines.js";
import { InputError } from "../../errors.js";
import { createMersenneTwister } from "../../random/mersenne.js";
import { fromBfloat16, narrow, widen } from "../../tensor/dtype.js";
import { tilesOf } from "../onnxruntime/gram.js";
import type { After } from "./after.js";
import { type ElementType, openLibrary } from "./library.js";
import { partsOf } from "./linears.js";
import type { Numbers } from "./numbers.js";
import { createProducts } from "./products.js";
import { openProducts } from "./widened.js";

const { title, isSkipped } = engineCases.find(
  ({ engine, precision }) => engine === "onednn" && precision === "float32",
)!;
const library = isSkipped ? undefined : openLibrary();

const { random } = createMersenneTwister(7);
const numbers = (length: number) => Float32Array.from({ length }, () => 2 * random() - 1);

/** The largest of sums of so many products of numbers below 1 may be so far off in float32. */
const tolerance = (inputs: number) => inputs * 2 ** -23;

describe.skipIf(!library)(`linears in float32 are sums of products: ${title}`, () => {
  const products = library && createProducts(library, "float32", 2);
  afterAll(() => products?.dispose());

  const sizes = [
    [1, 1, 1],
    [1, 96, 64],
    [3, 5, 7],
    [7, 13, 40],
    [33, 64, 24],
    [130, 72, 200],
    [257, 192, 1000],
  ] as const;
  const biases = [false, true];
  const kinds = ["nothing", "silu", "times", "plus"] as const;
  const cases = sizes.flatMap(([rows, inputs, outputs]) =>
    biases.flatMap((isBiased) => kinds.map((kind) => ({ rows, inputs, outputs, isBiased, kind }))),
  );

  it.each(cases)("$rows x $inputs to $outputs, bias $isBiased, then $kind", (of) => {
    const { rows, inputs, outputs, isBiased, kind } = of;
    const x = numbers(rows * inputs);
    const weight = numbers(outputs * inputs);
    const bias = isBiased ? numbers(outputs) : undefined;
    const other = numbers(rows * outputs);
    const y = new Float32Array(rows * outputs);
    const after: After<Float32Array> | undefined = {
      nothing: undefined,
      silu: "silu" as const,
      times: { times: other },
      plus: { plus: other },
    }[kind];
    products!.linear({ data: x, rows, columns: inputs }, weight, bias, y, after);
    let worst = 0;
    for (let r = 0; r < rows; r++) {
      for (let o = 0; o < outputs; o++) {
        let sum = bias?.[o] ?? 0;
        for (let i = 0; i < inputs; i++) sum += x[r * inputs + i]! * weight[o * inputs + i]!;
        const at = r * outputs + o;
        const expected = {
          nothing: sum,
          silu: sum / (1 + Math.exp(-sum)),
          times: sum * other[at]!,
          plus: sum + other[at]!,
        };
        worst = Math.max(worst, Math.abs(y[at]! - expected[kind]));
      }
    }
    expect(worst).toBeLessThan(tolerance(inputs + 2));
  });
});

describe.each(engineCases.filter(({ engine }) => engine === "onednn"))("weights that are packed: $title", (of) => {
  const products = of.isSkipped ? undefined : openProducts(openLibrary(), of.precision as ElementType, 2);
  afterAll(() => products?.dispose());
  const [rows, inputs, outputs] = [130, 72, 200];
  const x = numbers(rows * inputs);
  const operand = () => {
    const half = new Uint16Array(narrow(x, "BF16").buffer);
    const data = { float32: x, bfloat16: half, rounded: fromBfloat16(half) }[products!.operands];
    return { data, rows, columns: inputs };
  };
  const multiplied = (weight: Numbers) => {
    const y = new Float32Array(rows * outputs);
    products!.linear(operand(), weight, undefined, y);
    return y;
  };

  it.skipIf(of.isSkipped)("are those of the array, not of what lay in its memory before", () => {
    const [first, second] = [numbers(inputs * outputs), numbers(inputs * outputs)];
    const [ofFirst, ofSecond] = [multiplied(first.slice()), multiplied(second.slice())];
    expect(ofFirst).not.toEqual(ofSecond);
    const memory = first.slice();
    expect(multiplied(memory)).toEqual(ofFirst);
    memory.set(second);
    expect(multiplied(new Float32Array(memory.buffer))).toEqual(ofSecond);
  });

  if (of.precision !== "bfloat16") return;
  it.skipIf(of.isSkipped)("may be bfloat16, and are the same as if they were widened", () => {
    const bytes = narrow(numbers(inputs * outputs), "BF16");
    expect(multiplied(new Uint16Array(bytes.buffer))).toEqual(multiplied(widen(bytes, "BF16")));
  });
});

const bfloat16 = engineCases.find(({ engine, precision }) => engine === "onednn" && precision === "bfloat16")!;

describe.skipIf(bfloat16.isSkipped)(`weights that are multiplied in parts: ${bfloat16.title}`, () => {
  const products = bfloat16.isSkipped ? undefined : openProducts(openLibrary(), "bfloat16", 2);
  const isNative = products?.operands === "bfloat16";
  const reason = isNative ? "" : " (skipped: bfloat16 is multiplied as float32 here, in one part)";
  afterAll(() => products?.dispose());
  const [rows, inputs, outputs] = [1024, 1024, 32_800];
  const halves = (length: number) => new Uint16Array(narrow(numbers(length), "BF16").buffer);
  let x: Uint16Array;
  let weight: Uint16Array;
  beforeAll(() => {
    x = halves(rows * inputs);
    weight = halves(outputs * inputs);
  });

  it.skipIf(!isNative).each(["silu", "times", "plus"] as const)(
    `have every output where it belongs, then %s${reason}`,
    (kind) => {
      expect(partsOf("bfloat16", { rows, inputs, outputs }).length).toBeGreaterThan(1);
      const bias = numbers(outputs);
      const other = numbers(rows * outputs);
      const y = new Float32Array(rows * outputs);
      const after = { silu: "silu" as const, times: { times: other }, plus: { plus: other } }[kind];
      products!.linear({ data: x, rows, columns: inputs }, weight, bias, y, after);
      const [x32, weight32] = [x, weight].map(fromBfloat16);
      for (let at = 0; at < y.length; at += 4999) {
        const [r, o] = [Math.floor(at / outputs), at % outputs];
        let sum = bias[o]!;
        for (let i = 0; i < inputs; i++) sum += x32![r * inputs + i]! * weight32![o * inputs + i]!;
        const expected = { silu: sum / (1 + Math.exp(-sum)), times: sum * other[at]!, plus: sum + other[at]! };
        expect(Math.abs(y[at]! - expected[kind])).toBeLessThan(tolerance(inputs));
      }
    },
  );
});

it("parts are of outputs in order, without gaps", () => {
  const sizes = [
    { rows: 2048, inputs: 4096, outputs: 11008 },
    { rows: 1024, inputs: 11008, outputs: 4096 },
    { rows: 1024, inputs: 100_003, outputs: 1 },
    { rows: 1024, inputs: 1_000_003, outputs: 97 },
    { rows: 1, inputs: 4096, outputs: 32_000 },
  ];
  for (const precision of ["float32", "bfloat16"] as const) {
    for (const size of sizes) {
      const parts = partsOf(precision, size);
      expect(parts[0]!.from).toBe(0);
      expect(parts.at(-1)!.to).toBe(size.outputs);
      for (const [i, { from, to }] of parts.entries()) {
        expect(to).toBeGreaterThan(from);
        if (i > 0) expect(from).toBe(parts[i - 1]!.to);
      }
    }
  }
});

// Of these sizes oneDNN's product in AVX2 uses the stack pointer as one more register.
describe.skipIf(!library)(`signals wait while oneDNN computes: ${title}`, () => {
  it("a profiler, which sends one every 100 microseconds, changes nothing", async () => {
    const [batches, rows, inner, columns] = [8, 128, 512, 64];
    const products = createProducts(library!, "float32", 2);
    const a = { data: numbers(batches * rows * inner), sizes: [batches, rows, inner] };
    const b = { data: numbers(batches * inner * columns), sizes: [batches, inner, columns] };
    const multiply = () => {
      const c = { data: new Float32Array(batches * rows * columns), sizes: [batches, rows, columns] };
      products.multiply(a, b, c);
      return c.data;
    };
    const expected = multiply();
    const session = new Session();
    session.connect();
    await session.post("Profiler.enable");
    await session.post("Profiler.setSamplingInterval", { interval: 100 });
    await session.post("Profiler.start");
    for (let i = 0; i < 200; i++)
      expect(Buffer.from(multiply().buffer).equals(Buffer.from(expected.buffer))).toBe(true);
    const { profile } = await session.post("Profiler.stop");
    session.disconnect();
    products.dispose();
    expect(profile.samples?.length).toBeGreaterThan(10);
  });
});

describe.skipIf(!library)(`tiles of Gram matrices are added to what is there: ${title}`, () => {
  const products = library && createProducts(library, "float32", 2);
  afterAll(() => products?.dispose());

  it.each([
    [1, 9],
    [37, 30],
    [200, 530],
    [64, 1000],
    [67, 1030],
  ])("of %i rows of %i", (rows, columns) => {
    const x = numbers(rows * columns);
    const tiles = tilesOf(columns).map(({ row, column }) => {
      const sum = numbers((row.to - row.from) * (column.to - column.from));
      return { row, column, sum, before: sum.slice() };
    });
    products!.addGram({ data: x, rows, columns }, tiles);
    let worst = 0;
    for (const { row, column, sum, before } of tiles) {
      const width = column.to - column.from;
      for (let i = 0; i < sum.length; i++) {
        let expected = before[i]!;
        let magnitude = Math.abs(expected);
        const [a, b] = [row.from + Math.floor(i / width), column.from + (i % width)];
        for (let r = 0; r < rows; r++) {
          const product = x[r * columns + a]! * x[r * columns + b]!;
          expected += product;
          magnitude += Math.abs(product);
        }
        worst = Math.max(worst, Math.abs(sum[i]! - expected) / magnitude);
      }
    }
    // Higham, Accuracy and Stability of Numerical Algorithms, eq. 3.5: of any order of so many sums.
    expect(worst).toBeLessThan((rows + 1) * 2 ** -24);
  });
});

it.skipIf(!library)(`plain loops of oneDNN's are not computed with: ${title}`, () => {
  const products = createProducts({ ...library!, implementation: () => "ref:any" }, "float32", 1);
  expect(() => products.check()).toThrow(InputError);
  expect(() => products.check()).toThrow(
    /^oneDNN \d[\d.]*, .*: has no product made for this processor, only ref:any; /,
  );
  products.dispose();
});
