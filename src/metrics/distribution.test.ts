import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { oracle } from "../../test/oracles.js";
import type { FloatArray } from "../tensor/matrix.js";
import { plainArithmetic } from "./arithmetic.js";
import {
  comparePositions,
  lossFigures,
  lossOfPositions,
  type PositionFigures,
  positionFigures,
} from "./distribution.js";
import { fastestArithmetic, kernelArithmetic } from "./kernel.js";

/** Figures of one position as the oracle names them; float32 logits, values from 80-bit arithmetic. */
interface OracleRow {
  readonly regime: string;
  readonly target: number;
  readonly nll_p: number;
  readonly nll_q: number;
  readonly kl_pq: number;
  readonly kl_qp: number;
  readonly jsd: number;
  readonly total_variation: number;
  readonly top1_equal: number;
  readonly top5_overlap: number;
}

interface PreciseCase {
  readonly name: string;
  readonly base: readonly number[];
  readonly other: readonly number[];
  readonly target: number;
  readonly lossBase: number;
  readonly loss: number;
  readonly jsd: number;
  readonly kl: number;
  readonly klReverse: number;
  readonly totalVariation: number;
  readonly topConfidence: number;
}

const fixture = JSON.parse(
  readFileSync(new URL("../../test/fixtures/distributions.json", import.meta.url), "utf8"),
) as {
  readonly slice: readonly (OracleRow & { vocabulary: number; p: readonly number[]; q: readonly number[] })[];
  readonly precise: readonly PreciseCase[];
};

function expectNear(actual: number, expected: number, what: string): void {
  expect(Math.abs(actual - expected), `${what}: ${actual} for ${expected}`).toBeLessThanOrEqual(
    1e-9 * Math.max(1, Math.abs(expected)),
  );
}

function expectRow(figures: PositionFigures, at: number, row: OracleRow): void {
  const what = (name: string) => `${name}, row ${at} (${row.regime})`;
  expectNear(figures.lossBase[at]!, row.nll_p, what("lossBase"));
  expectNear(figures.loss[at]!, row.nll_q, what("loss"));
  expectNear(figures.kl[at]!, row.kl_pq, what("kl"));
  expectNear(figures.klReverse[at]!, row.kl_qp, what("klReverse"));
  expectNear(figures.jsd[at]!, row.jsd, what("jsd"));
  expectNear(figures.totalVariation[at]!, row.total_variation, what("totalVariation"));
  expectNear(figures.targetProbabilityBase[at]!, Math.exp(-row.nll_p), what("targetProbabilityBase"));
  expectNear(figures.targetProbability[at]!, Math.exp(-row.nll_q), what("targetProbability"));
  expect(figures.sameTop1[at], what("sameTop1")).toBe(row.top1_equal);
  expect(figures.top5Overlap[at], what("top5Overlap")).toBe(row.top5_overlap);
  expect(figures.finite[at]).toBe(1);
}

function tensorsOf(path: string): (name: string) => ArrayBuffer {
  const { buffer, byteOffset } = readFileSync(path);
  const size = Number(new DataView(buffer, byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, byteOffset + 8, size)));
  return (name) => {
    const [begin, end] = header[name].data_offsets;
    return new Uint8Array(buffer, byteOffset + 8 + size + begin, end - begin).slice().buffer;
  };
}

const FEWER_DIGITS: Readonly<Record<string, number>> = {
  // The normalisers' rounding, 1e-16, is 1e-4 of the differences, and felt in second order.
  "differences of about 1e-12": 1e-7,
  // The difference of two float64 logits 1000 apart is rounded at 1e-13, which is 1e-7 of what is left of it.
  "shifted by 1000, differences of about 1e-06": 1e-6,
};

const logit = fc.double({ min: -60, max: 60, noNaN: true });
const pair = fc
  .tuple(fc.array(fc.tuple(logit, logit), { minLength: 2, maxLength: 40 }), fc.boolean())
  .map(([rows, single]): [FloatArray, FloatArray] => {
    const base = rows.map(([a]) => a);
    const other = rows.map(([, b]) => b);
    return single
      ? [Float32Array.from(base), Float32Array.from(other)]
      : [Float64Array.from(base), Float64Array.from(other)];
  });
const scale = fc.constantFrom(1e-9, 1e-6, 1e-3, 0.1, 1);

test("the kernel runs here, and is what is used", () => {
  expect(kernelArithmetic(1)).toBeDefined();
});

describe.each([
  ["TypeScript", plainArithmetic],
  ["WebAssembly", fastestArithmetic],
])("in %s", (_, createArithmetic) => {
  function compare(base: FloatArray, other: FloatArray, target = 0): PositionFigures {
    const out = positionFigures(1);
    comparePositions(base, other, base.length, Int32Array.of(target), out, 0, createArithmetic);
    return out;
  }

  test.each(fixture.slice)("a row of the oracle: $regime, vocabulary $vocabulary", (row) => {
    expectRow(compare(Float32Array.from(row.p), Float32Array.from(row.q), row.target), 0, row);
  });

  describe.skipIf(!oracle("oracles", "distributions.json"))(
    "all rows of the oracle (needs PARE_ORACLES/oracles/distributions.*)",
    () => {
      test.each([5, 128, 2048, 49152])("vocabulary %i", (vocabulary) => {
        const { sets } = JSON.parse(readFileSync(oracle("oracles", "distributions.json")!, "utf8")) as {
          sets: { vocabulary: number; rows: OracleRow[] }[];
        };
        const rows = sets.find((set) => set.vocabulary === vocabulary)!.rows;
        const tensor = tensorsOf(oracle("oracles", "distributions.safetensors")!);
        const base = new Float32Array(tensor(`p_${vocabulary}`));
        const other = new Float32Array(tensor(`q_${vocabulary}`));
        const targets = Int32Array.from(new BigInt64Array(tensor(`target_${vocabulary}`)), Number);
        const out = positionFigures(rows.length);
        comparePositions(base, other, vocabulary, targets, out, 0, createArithmetic);
        const alone = lossFigures(rows.length);
        lossOfPositions(other, vocabulary, targets, alone, 0, createArithmetic);
        expect(rows.length).toBeGreaterThan(0);
        rows.forEach((row, at) => {
          expect(targets[at]).toBe(row.target);
          expectRow(out, at, row);
          expectNear(alone.loss[at]!, row.nll_q, `loss alone, row ${at}`);
        });
      });
    },
  );

  // Relative, also where the divergence is 1e-26: what is tested is that no digits are lost to cancellation.
  test.each(fixture.precise)("60-digit arithmetic agrees: $name", (expected) => {
    const figures = compare(Float64Array.from(expected.base), Float64Array.from(expected.other), expected.target);
    const digits = FEWER_DIGITS[expected.name] ?? 1e-9;
    for (const name of ["jsd", "kl", "klReverse", "lossBase", "loss", "topConfidence"] as const) {
      expect(Math.abs(figures[name][0]! - expected[name]), name).toBeLessThanOrEqual(digits * Math.abs(expected[name]));
    }
    expect(Math.abs(figures.totalVariation[0]! - expected.totalVariation)).toBeLessThan(1e-14);
  });

  test("a distribution has divergence 0 from itself, exactly, also when all logits are shifted alike", () => {
    fc.assert(
      fc.property(pair, fc.integer({ min: -1000, max: 1000 }), ([logits], shift) => {
        // Rounded to multiples of 2^-10, so that adding a whole number is exact in float32.
        const base = logits.map((value) => Math.round(value * 1024) / 1024) as FloatArray;
        const figures = compare(base, base.map((value) => value + shift) as FloatArray);
        for (const name of ["jsd", "kl", "klReverse", "totalVariation"] as const) expect(figures[name][0]).toBe(0);
        expect(figures.loss[0]).toBe(figures.lossBase[0]);
        expect(figures.sameTop1[0]).toBe(1);
        expect(figures.top5Overlap[0]).toBe(Math.min(5, base.length));
      }),
    );
  });

  test("exchanging the models exchanges the figures, exactly", () => {
    fc.assert(
      fc.property(pair, ([base, other]) => {
        const there = compare(base, other);
        const back = compare(other, base);
        expect(back.jsd).toEqual(there.jsd);
        expect(back.totalVariation).toEqual(there.totalVariation);
        expect(back.kl).toEqual(there.klReverse);
        expect(back.klReverse).toEqual(there.kl);
        expect(back.loss).toEqual(there.lossBase);
        expect(back.top5Overlap).toEqual(there.top5Overlap);
        expect(back.top1).toEqual(there.top1Base);
      }),
    );
  });

  test("0 <= JSD <= ln 2, KL >= 0, 0 <= TV <= 1, TV²/2 <= JSD <= TV ln 2 (Lin 1991), 2 TV² <= KL (Pinsker)", () => {
    fc.assert(
      fc.property(pair, fc.constantFrom(1, 20), ([base, other], factor) => {
        const figures = compare(base, other.map((value) => value * factor) as FloatArray);
        const [jsd, tv] = [figures.jsd[0]!, figures.totalVariation[0]!];
        expect(jsd).toBeGreaterThanOrEqual(0);
        expect(jsd).toBeLessThanOrEqual(Math.LN2);
        expect(tv).toBeLessThanOrEqual(1);
        expect(jsd).toBeLessThanOrEqual(tv * Math.LN2 + 1e-15);
        expect(jsd).toBeGreaterThanOrEqual(tv ** 2 / 2 - 1e-15);
        expect(figures.kl[0]).toBeGreaterThanOrEqual(2 * tv ** 2 - 1e-14);
        expect(figures.klReverse[0]).toBeGreaterThanOrEqual(2 * tv ** 2 - 1e-14);
      }),
    );
  });

  test("the textbook sums agree where they keep their digits", () => {
    const logSoftmax = (logits: FloatArray) => {
      const values = Float64Array.from(logits);
      const largest = Math.max(...values);
      const normaliser = largest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0));
      return values.map((value) => value - normaliser);
    };
    const klOf = (a: Float64Array, b: Float64Array) =>
      a.reduce((sum, lnP, i) => sum + Math.exp(lnP) * (lnP - b[i]!), 0);
    fc.assert(
      fc.property(pair, ([base, other]) => {
        const [p, q] = [logSoftmax(base), logSoftmax(other)];
        const m = p.map((lnP, i) => Math.log((Math.exp(lnP) + Math.exp(q[i]!)) / 2));
        const figures = compare(base, other);
        expectNear(figures.kl[0]!, klOf(p, q), "kl");
        expectNear(figures.klReverse[0]!, klOf(q, p), "klReverse");
        expectNear(figures.jsd[0]!, (klOf(p, m) + klOf(q, m)) / 2, "jsd");
        expectNear(figures.lossBase[0]!, -p[0]!, "lossBase");
        expectNear(figures.topConfidence[0]!, Math.exp(Math.max(...p)), "topConfidence");
      }),
    );
  });

  test("nearly equal distributions: KL and JSD are the cumulants of the difference, to 1e-6 of themselves", () => {
    // With q proportional to p·e^d: KL(P‖Q) = k2/2 + k3/6 + ..., JSD = k2/8 + ..., k the cumulants of d under P.
    const rows = fc.array(fc.tuple(fc.double({ min: -8, max: 8, noNaN: true }), fc.integer({ min: -9, max: 9 })), {
      minLength: 2,
      maxLength: 40,
    });
    fc.assert(
      fc.property(rows, (values) => {
        const base = Float64Array.from(values, ([a]) => a);
        const other = Float64Array.from(values, ([a, step]) => a + step * 1e-7);
        const weights = base.map((a) => Math.exp(a - base[0]!));
        const total = weights.reduce((sum, w) => sum + w, 0);
        const under = (f: (d: number) => number) =>
          weights.reduce((sum, w, i) => sum + (w / total) * f(other[i]! - base[i]!), 0);
        const average = under((d) => d);
        const k2 = under((d) => (d - average) ** 2);
        const k3 = under((d) => (d - average) ** 3);
        const figures = compare(base, other);
        const rounding = 1e-28; // of logits that differ by less than 1e-14
        expect(Math.abs(figures.kl[0]! - (k2 / 2 + k3 / 6))).toBeLessThanOrEqual(1e-6 * (k2 / 2) + rounding);
        expect(Math.abs(figures.jsd[0]! - (k2 + k3) / 8)).toBeLessThanOrEqual(1e-6 * (k2 / 8) + rounding);
      }),
    );
  });

  test("float32 logits are computed with as float64", () => {
    fc.assert(
      fc.property(pair, scale, ([base, other], factor) => {
        const [single, singleOther] = [
          Float32Array.from(base),
          Float32Array.from(other, (v, i) => base[i]! + v * factor),
        ];
        const double = compare(Float64Array.from(single), Float64Array.from(singleOther));
        expect(compare(single, singleOther)).toEqual(double);
        expect(compare(single, Float64Array.from(singleOther))).toEqual(double);
        expect(compare(Float64Array.from(single), singleOther)).toEqual(double);
      }),
    );
  });

  test("a logit that is not finite leaves its position's figures undefined and touches no other", () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
      for (const inBase of [true, false]) {
        const good = Float32Array.of(1, 2, 3, 1, 2, 3, 3, 2, 1);
        const broken = good.slice();
        broken[4] = bad;
        const out = positionFigures(5);
        const targets = Int32Array.of(0, 1, 2);
        comparePositions(inBase ? broken : good, inBase ? good : broken, 3, targets, out, 1, createArithmetic);
        expect([...out.finite]).toEqual([0, 1, 0, 1, 0]);
        for (const name of ["lossBase", "loss", "jsd", "kl", "klReverse", "totalVariation", "topConfidence"] as const)
          expect([...out[name]].map(Number.isNaN), name).toEqual([false, false, true, false, false]);
        expect([...out.top1Base]).toEqual([0, 2, -1, 0, 0]);
        const alone = lossFigures(3);
        lossOfPositions(broken, 3, targets, alone, 0, createArithmetic);
        expect([...alone.finite]).toEqual([1, 0, 1]);
        expect([...alone.loss].map(Number.isNaN)).toEqual([false, true, false]);
        expect(alone.loss[2]).toBe(out.lossBase[3]);
      }
  });

  test("float64 logits at the edge of the range stay defined or are counted as not finite", () => {
    expect(compare(Float64Array.of(1e300, -1e300), Float64Array.of(-1e300, 1e300)).jsd[0]).toBeCloseTo(Math.LN2, 14);
    expect(compare(Float64Array.of(1e308, -1e308), Float64Array.of(0, 0)).finite[0]).toBe(0);
  });

  test("sizes that do not fit and targets outside the vocabulary are refused", () => {
    const six = new Float32Array(6);
    const run = (other: FloatArray, targets: number[], at: number) => () =>
      comparePositions(six, other, 3, Int32Array.from(targets), positionFigures(2), at, createArithmetic);
    expect(run(six, [0, 2], 0)).not.toThrow();
    expect(run(new Float32Array(5), [0, 2], 0)).toThrow("5 logits are not 2 positions of 3");
    expect(run(six, [0, 2], 1)).toThrow("rows 1 to 3 do not fit into 2");
    expect(run(six, [0, 3], 0)).toThrow("target 3 is outside the vocabulary of 3");
  });
});
