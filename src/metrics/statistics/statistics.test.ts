import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { oracle } from "../../../test/oracles.js";
import { bootstrapMeans } from "./bootstrap.js";
import { comparePaired } from "./compare.js";
import { correlateCells, kendallTauB, pearson, spearman } from "./correlation.js";
import { holm } from "./holm.js";
import type { Interval } from "./interval.js";
import { mcnemarExact } from "./mcnemar.js";
import { wilsonInterval } from "./wilson.js";

interface Wilson {
  readonly successes: number;
  readonly n: number;
  readonly low: number;
  readonly high: number;
}

interface Pair {
  readonly name: string;
  readonly a: number[];
  readonly b: number[];
  readonly mean_a: number;
  readonly mean_b: number;
  readonly mean_difference: number;
  readonly standard_error: number;
  readonly permutation: { readonly p: number; readonly tolerance: number };
  readonly pearson: number | null;
  readonly spearman: number | null;
  readonly kendall_tau_b: number | null;
  readonly mcnemar?: { readonly only_a: number; readonly only_b: number; readonly p: number };
  readonly wilson_a?: Wilson;
  readonly wilson_b?: Wilson;
}

interface Oracle {
  readonly pairs: Pair[];
  readonly wilson: Wilson[];
  readonly holm: { readonly p: number[]; readonly adjusted: number[] }[];
}

interface Scipy {
  readonly exact_permutation: { readonly base: number[]; readonly compressed: number[]; readonly p: number }[];
  readonly mcnemar: { readonly first: number; readonly second: number; readonly p: number }[];
  readonly bootstrap_means: { readonly values: number[]; readonly interval: Interval }[];
  readonly correlations: {
    readonly a: number[];
    readonly b: number[];
    readonly pearson: number;
    readonly spearman: number;
    readonly kendall: number;
    readonly spearman_interval: Interval;
    readonly kendall_interval: Interval;
  }[];
}

const TOLERANCE = 1e-9;

function expectNear(actual: number | null | undefined, expected: number | null, tolerance = TOLERANCE): void {
  if (expected === null || actual === null || actual === undefined) expect(actual).toBe(expected);
  else expect(Math.abs(actual - expected), `${actual} against ${expected}`).toBeLessThanOrEqual(tolerance);
}

/** Two bootstraps of the same data: a quantile of 10,000 resampled values strays by about 1% of the interval's width. */
function expectSimilar(actual: Interval | null | undefined, expected: Interval): void {
  const tolerance = 0.05 * (expected[1] - expected[0]);
  expectNear(actual?.[0], expected[0], tolerance);
  expectNear(actual?.[1], expected[1], tolerance);
}

function checkOracle(path: string | URL): void {
  const { pairs, wilson, holm: lists } = JSON.parse(readFileSync(path, "utf8")) as Oracle;

  it.each(pairs)("means, standard error and p of $name", (pair) => {
    const result = comparePaired(pair.a, pair.b, { binary: false, seed: 1 });
    expectNear(result.base.mean, pair.mean_a);
    expectNear(result.compressed.mean, pair.mean_b);
    expectNear(result.difference.mean, pair.mean_difference);
    expectNear(result.difference.standardError, pair.standard_error);
    expectNear(result.p, pair.permutation.p, pair.permutation.tolerance);
  });

  it.each(pairs)("correlations of $name", ({ a, b, ...expected }) => {
    const columns = [Float64Array.from(a), Float64Array.from(b)] as const;
    expectNear(pearson(...columns), expected.pearson);
    expectNear(spearman(...columns), expected.spearman);
    expectNear(kendallTauB(...columns), expected.kendall_tau_b);
  });

  it.each(pairs.filter((pair) => pair.mcnemar))("McNemar's p, flips and Wilson intervals of $name", (pair) => {
    const result = comparePaired(pair.a, pair.b, { binary: true, seed: 1 });
    expect(result.flips).toEqual({ rightToWrong: pair.mcnemar?.only_a, wrongToRight: pair.mcnemar?.only_b });
    expectNear(result.p, pair.mcnemar!.p);
    expectNear(result.base.interval?.[0], pair.wilson_a!.low);
    expectNear(result.base.interval?.[1], pair.wilson_a!.high);
    expectNear(result.compressed.interval?.[0], pair.wilson_b!.low);
    expectNear(result.compressed.interval?.[1], pair.wilson_b!.high);
  });

  it.each(wilson)("Wilson interval of $successes in $n", ({ successes, n, low, high }) => {
    const interval = wilsonInterval(successes, n);
    expectNear(interval?.[0], low);
    expectNear(interval?.[1], high);
  });

  it.each(lists)("Holm's adjustment of $p.length p values", ({ p, adjusted }) => {
    holm(p).forEach((value, i) => {
      expectNear(value, adjusted[i]!);
    });
  });
}

const fixture = (name: string) => new URL(`../../../test/fixtures/statistics/${name}`, import.meta.url);

describe("as scipy and statsmodels, on few items", () => checkOracle(fixture("oracle.json")));

const larger = oracle("oracles", "statistics.json");
if (larger === undefined) it.skip("as scipy and statsmodels, on up to 2,000 items (PARE_ORACLES is not set)");
else describe("as scipy and statsmodels, on up to 2,000 items", () => checkOracle(larger));

describe("as scipy", () => {
  const scipy = JSON.parse(readFileSync(fixture("scipy.json"), "utf8")) as Scipy;

  it.each(scipy.exact_permutation)("every assignment of signs counted: p = $p", ({ base, compressed, p }) => {
    const result = comparePaired(base, compressed, { binary: false, seed: 1 });
    expect(result.test).toBe("permutation-exact");
    expectNear(result.p, p);
  });

  it.each(scipy.mcnemar)("binomial test of $first against $second", ({ first, second, p }) => {
    expect(mcnemarExact(first, second) / p).toBeCloseTo(1, 9);
    expect(mcnemarExact(second, first)).toBe(mcnemarExact(first, second));
  });

  it.each(scipy.bootstrap_means)("bootstrap interval of a mean: $interval", ({ values, interval }) => {
    const [actual] = bootstrapMeans([Float64Array.from(values)], { seed: 1, resamples: 10_000 });
    expectSimilar(actual, interval);
  });

  it.each(scipy.correlations)("correlations and their intervals over $a.length cells", ({ a, b, ...expected }) => {
    const estimate = (correlation: typeof pearson) => correlateCells(a, b, correlation, { seed: 1, resamples: 10_000 });
    expectNear(pearson(Float64Array.from(a), Float64Array.from(b)), expected.pearson);
    expectNear(estimate(spearman).value, expected.spearman);
    expectSimilar(estimate(spearman).interval, expected.spearman_interval);
    expectNear(estimate(kendallTauB).value, expected.kendall);
    expectSimilar(estimate(kendallTauB).interval, expected.kendall_interval);
  });
});
