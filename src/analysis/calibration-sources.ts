import { mean } from "../metrics/statistics/mean.js";
import { permutationTest } from "../metrics/statistics/permutation.js";
import type { Resampling } from "../metrics/statistics/resampling.js";
import type { CalibrationComparison, Measure } from "./analysis.js";
import type { LabelledCell } from "./cells.js";
import { groupBy, labelKey } from "./labels.js";

/** Every two calibration sources of a model, over the cells that differ in nothing else. */
export function compareCalibration(
  cells: readonly LabelledCell[],
  measures: readonly Measure[],
  resampling: Resampling,
): CalibrationComparison[] {
  return groupBy(cells, ({ label }) => label.model).flatMap((own) => {
    const sources = [...new Set(own.flatMap(({ label }) => label.calibration ?? []))];
    return sources.flatMap((a, i) => sources.slice(i + 1).flatMap((b) => compare(own, a, b, measures, resampling)));
  });
}

function compare(
  cells: readonly LabelledCell[],
  a: string,
  b: string,
  measures: readonly Measure[],
  resampling: Resampling,
): CalibrationComparison[] {
  const key = ({ label }: LabelledCell) => labelKey(label, "calibration");
  const others = new Map(cells.filter(({ label }) => label.calibration === b).map((cell) => [key(cell), cell]));
  const pairs = cells
    .filter(({ label }) => label.calibration === a)
    .flatMap((cell) => {
      const other = others.get(key(cell));
      return other ? [{ a: cell, b: other }] : [];
    });
  if (pairs.length === 0) return [];
  // Seeds of one setting are no independent pairs.
  const settings = groupBy(pairs, (pair) => labelKey(pair.a.label, "calibration", "seed"));
  return [
    {
      model: cells[0]!.label.model,
      a,
      b,
      pairs: pairs.map((pair) => ({ a: pair.a.analysis.id, b: pair.b.analysis.id })),
      measures: measures.flatMap(({ id, worse }) => {
        const differences = Float64Array.from(
          settings.flatMap((setting) => {
            const own = setting.flatMap((pair) => {
              const [first, second] = [pair.a.analysis.values[id], pair.b.analysis.values[id]];
              return first && second ? [second.value - first.value] : [];
            });
            return mean(Float64Array.from(own)) ?? [];
          }),
        );
        if (differences.length === 0) return [];
        const higher = differences.filter((difference) => difference > 0).length;
        const lower = differences.filter((difference) => difference < 0).length;
        return [
          {
            measure: id,
            differences: [...differences],
            mean: mean(differences)!,
            better: worse === "higher" ? { a: higher, b: lower } : { a: lower, b: higher },
            p: differences.length < 2 ? null : permutationTest(differences, resampling).p,
          },
        ];
      }),
    },
  ];
}
