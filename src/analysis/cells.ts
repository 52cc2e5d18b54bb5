import type { CellLabel, CellResult } from "../results/study-results.js";
import { type CellAnalysis, HARMLESS_RATIO, type Measure, type MeasureValue } from "./analysis.js";
import { isWorse, valuesOf } from "./measures.js";

/** A cell's figures with what it is. */
export interface LabelledCell {
  readonly label: CellLabel;
  readonly analysis: CellAnalysis;
}

export function analyseCell(cell: CellResult, measures: readonly Measure[], name: string): CellAnalysis {
  const values = valuesOf(cell);
  const nonFinite = Object.values(cell.text).reduce((most, { nonFinite }) => Math.max(most, nonFinite ?? 1), 0);
  return { id: cell.id, name, values, perplexityMisleads: perplexityMisleads(values, measures), nonFinite };
}

function perplexityMisleads(values: Readonly<Record<string, MeasureValue>>, measures: readonly Measure[]): boolean {
  const own = measures.filter(({ id }) => id in values);
  const ratios = own.filter(({ kind }) => kind === "perplexityRatio");
  const losses = own.filter(({ kind }) => kind === "taskLoss" || kind === "overallTaskLoss");
  return (
    ratios.length > 0 &&
    ratios.every(({ id }) => values[id]!.value < HARMLESS_RATIO) &&
    losses.some((measure) => isWorse(measure, values[measure.id]!))
  );
}
