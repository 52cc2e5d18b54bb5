import type { CellResult, StudyRecord } from "../results/study-results.js";
import { agreementsOf } from "./agreement.js";
import type { StudyAnalysis } from "./analysis.js";
import { blockDamage } from "./blocks.js";
import { budgetOf, chooseWithin } from "./budget.js";
import { compareCalibration } from "./calibration-sources.js";
import { analyseCell, type LabelledCell } from "./cells.js";
import { curvesOf } from "./curves.js";
import { findingsOf } from "./findings.js";
import { createNames } from "./labels.js";
import { measuresOf } from "./measures.js";
import { seedSpreads } from "./seeds.js";

/** Of the permutation tests. */
const PERMUTATIONS = 10_000;

/**
 * What a study's finished cells say together; cells that the study does not name are left out. The same study gives the
 * same analysis: resampling is seeded. Throws InputError for a budget in study.json that is none.
 */
export function analyseStudy(study: StudyRecord, results: readonly CellResult[]): StudyAnalysis {
  const byId = new Map(results.map((result) => [result.id, result]));
  const finished = study.cells.flatMap(({ id }) => byId.get(id) ?? []);
  const names = createNames(study.cells.map(({ label }) => label));
  const measures = measuresOf(finished);
  const cells: LabelledCell[] = finished.map((result) => ({
    label: result.label,
    analysis: analyseCell(result, measures, names.cell(result.label)),
  }));
  const budget = budgetOf(study.definition);
  const analysis: Omit<StudyAnalysis, "findings"> = {
    measures,
    cells: cells.map(({ analysis }) => analysis),
    missing: study.cells.filter(({ id }) => !byId.has(id)).map(({ id }) => id),
    curves: curvesOf(cells, measures, names),
    agreement: agreementsOf(cells, measures),
    blocks: finished.flatMap((result) => blockDamage(result) ?? []),
    calibration: compareCalibration(cells, measures, { seed: 0, resamples: PERMUTATIONS }),
    seeds: seedSpreads(cells, measures, names),
    budget: budget ? chooseWithin(cells, measures, budget) : null,
  };
  return { ...analysis, findings: findingsOf(analysis, cells) };
}
