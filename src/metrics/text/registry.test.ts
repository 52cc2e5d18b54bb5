import { readFileSync } from "node:fs";
import { describe, expect, it, test } from "vitest";
import { oracle } from "../../../test/oracles.js";
import { InputError } from "../../errors.js";
import { textMetric, textMetrics } from "./registry.js";

type Rouge = Readonly<Record<"precision" | "recall" | "fmeasure", number>>;

interface Case {
  readonly prediction: string;
  readonly references: readonly string[];
  readonly exact_match: number;
  readonly exact_match_strict: number;
  readonly f1: number;
  readonly rouge1: Rouge;
  readonly rouge1_stemmed: Rouge;
}

const EXPECTED: Readonly<Record<string, (expected: Case) => number>> = {
  exact_match: ({ exact_match }) => exact_match,
  exact_match_strict: ({ exact_match_strict }) => exact_match_strict,
  f1: ({ f1 }) => f1,
  rouge1: ({ rouge1 }) => rouge1.fmeasure,
  rouge1_precision: ({ rouge1 }) => rouge1.precision,
  rouge1_recall: ({ rouge1 }) => rouge1.recall,
  rouge1_stemmed: ({ rouge1_stemmed }) => rouge1_stemmed.fmeasure,
  rouge1_stemmed_precision: ({ rouge1_stemmed }) => rouge1_stemmed.precision,
  rouge1_stemmed_recall: ({ rouge1_stemmed }) => rouge1_stemmed.recall,
};

/** Checks every case, and names those that differ. */
function expectScores(name: string, cases: readonly Case[]): void {
  const metric = textMetric(name);
  const different = cases
    .map(({ prediction, references, ...rest }) => ({
      prediction,
      references,
      score: metric.score(prediction, references),
      expected: EXPECTED[name]!({ prediction, references, ...rest }),
    }))
    .filter(({ score, expected }) => !(Math.abs(score - expected) <= 1e-9));
  expect(different).toEqual([]);
}

/** By lm_eval 0.4.13, rouge_score 0.1.2 and nltk 3.10.4: see make.py beside it. */
const fixture = JSON.parse(
  readFileSync(new URL("../../../test/fixtures/metrics/text.json", import.meta.url), "utf8"),
) as readonly Case[];

describe("as the field's own Python computes it", () => {
  it.each(Object.keys(EXPECTED))("%s", (name) => {
    expect(fixture.length).toBeGreaterThan(60);
    expectScores(name, fixture);
  });
});

const file = oracle("oracles", "text_metrics.jsonl");

describe.skipIf(!file)(`400 more cases${file ? "" : " (PARE_ORACLES is not set)"}`, () => {
  it.each(Object.keys(EXPECTED))("%s", (name) => {
    const lines = readFileSync(file!, "utf8").trimEnd().split("\n");
    expect(lines).toHaveLength(400);
    expectScores(
      name,
      lines.map((line) => JSON.parse(line) as Case),
    );
  });
});

test("every metric has a name and a summary of its own", () => {
  expect(new Set(textMetrics.map(({ name }) => name)).size).toBe(textMetrics.length);
  expect(new Set(textMetrics.map(({ summary }) => summary)).size).toBe(textMetrics.length);
});

test("a metric is found by its name, and an unknown name is met with the likely one and all", () => {
  for (const metric of textMetrics) expect(textMetric(metric.name)).toBe(metric);
  expect(() => textMetric("exact-match")).toThrow(InputError);
  expect(() => textMetric("exact-match")).toThrow(/metric exact-match.*did you mean exact_match\?.*exact_match, .*f1/);
  expect(() => textMetric("constructor")).toThrow(InputError);
});
