import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type PositionFigures, positionFigures } from "./distribution.js";
import { measures } from "./registry.js";
import { type DivergenceSummary, summariseDivergence, summariseLoss } from "./summary.js";

const fixture = JSON.parse(readFileSync(new URL("../../test/fixtures/summary.json", import.meta.url), "utf8")) as {
  readonly windows: readonly number[];
  readonly columns: Readonly<Record<string, readonly number[]>>;
  readonly expected: DivergenceSummary;
};

function figuresOf(columns: Readonly<Record<string, readonly number[]>>, rows?: readonly number[]): PositionFigures {
  const length = rows?.length ?? Object.values(columns)[0]!.length;
  const figures = positionFigures(length);
  for (const [name, column] of Object.entries(columns))
    figures[name as keyof PositionFigures].set(rows ? rows.map((i) => column[i]!) : column);
  // What stands in a row that is not finite must not matter.
  for (let i = 0; i < length; i++) if (figures.finite[i] === 0) figures.jsd[i] = figures.loss[i] = Number.NaN;
  return figures;
}

/** Every number of a nested value, with its path. */
function leaves(value: unknown, path = ""): [string, unknown][] {
  if (typeof value !== "object" || value === null) return [[path, value]];
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, `${path}/${key}`));
}

const summary = summariseDivergence(figuresOf(fixture.columns), Int32Array.from(fixture.windows));

describe("base against compressed, as numpy, scipy and statsmodels sum it up", () => {
  const actual = new Map(leaves(summary));
  test("with the same keys", () => {
    expect([...actual.keys()].sort()).toEqual(
      leaves(fixture.expected)
        .map(([path]) => path)
        .sort(),
    );
  });
  test.each(leaves(fixture.expected))("%s", (path, expected) => {
    if (typeof expected === "number")
      expect(Math.abs((actual.get(path) as number) - expected)).toBeLessThan(1e-12 * Math.max(1, Math.abs(expected)));
    else expect(actual.get(path)).toBe(expected);
  });
});

test("one model alone has the figures that it has in the comparison", () => {
  const alone = summariseLoss(figuresOf(fixture.columns), Int32Array.from(fixture.windows));
  const { loss, perplexity, positions, nonFinite } = fixture.expected;
  expect(alone.positions).toBe(positions);
  expect(alone.nonFinite).toBeCloseTo(nonFinite!, 14);
  expect(alone.loss.mean).toBeCloseTo(loss.compressed!, 12);
  expect(alone.loss.standardError).toBeCloseTo(loss.compressedStandardError!, 12);
  expect(alone.perplexity.value).toBeCloseTo(perplexity.compressed!, 11);
  expect(alone.perplexity.standardError).toBeCloseTo(perplexity.compressedStandardError!, 11);
});

test("one position a window: the standard error is the sample's over √n", () => {
  const rows = [0, 1, 2, 3, 4];
  const values = rows.map((i) => fixture.columns["kl"]![i]!);
  const mean = values.reduce((a, b) => a + b) / 5;
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 4);
  const { kl } = summariseDivergence(figuresOf(fixture.columns, rows), Int32Array.from(rows));
  expect(kl.standardError).toBeCloseTo(deviation / Math.sqrt(5), 14);
});

test("one window: means, and no standard error", () => {
  const one = summariseDivergence(figuresOf(fixture.columns), new Int32Array(fixture.windows.length).fill(3));
  const errors = leaves(one).filter(([path]) => /standardError$/i.test(path));
  expect(errors.length).toBeGreaterThan(10);
  for (const [path, value] of errors) expect(value, path).toBeNull();
  expect(one.jsd.mean).toBe(summary.jsd.mean);
});

test("no position at all, or none that is finite: null where nothing is defined, and JSON without NaN", () => {
  const none = summariseDivergence(positionFigures(0), new Int32Array(0));
  const broken = summariseDivergence(positionFigures(3), Int32Array.of(0, 0, 1));
  expect(none.nonFinite).toBeNull();
  expect(broken.nonFinite).toBe(1);
  expect(broken.positions).toBe(3);
  for (const [path, value] of [...leaves(none), ...leaves(broken)])
    if (/mean|error|median|p9|max|rms|ratio|correlation/i.test(path)) expect(value, path).toBeNull();
  expect(JSON.parse(JSON.stringify([none, broken]))).toEqual([none, broken]);
});

test("undefined figures of defined positions are null: perplexity beyond float64, correlation with a constant", () => {
  const figures = positionFigures(4);
  figures.finite.fill(1);
  figures.lossBase.fill(0.1);
  figures.loss.set([900, 1000, 1100, 1200]);
  const { perplexity, loss, lnPerplexityCorrelation } = summariseDivergence(figures, Int32Array.of(0, 0, 1, 1));
  expect(perplexity.compressed).toBeNull();
  expect(perplexity.ratio).toBeNull();
  expect(perplexity.ratioStandardError).toBeNull();
  expect(loss.compressed).toBe(1050);
  expect(lnPerplexityCorrelation).toBeNull();
});

test("a window number for every position is asked for", () => {
  expect(() => summariseDivergence(positionFigures(2), Int32Array.of(1))).toThrow("1 window numbers for 2 positions");
});

test("every measure of a summary is described", () => {
  expect(["positions", ...Object.keys(measures)].sort()).toEqual(Object.keys(summary).sort());
});
