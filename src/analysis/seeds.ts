import { mean, standardError } from "../metrics/statistics/mean.js";
import type { Measure, SeedSpread } from "./analysis.js";
import type { LabelledCell } from "./cells.js";
import { type createNames, groupBy, labelKey } from "./labels.js";

/** What another draw of calibration windows changes. */
export function seedSpreads(
  cells: readonly LabelledCell[],
  measures: readonly Measure[],
  names: ReturnType<typeof createNames>,
): SeedSpread[] {
  return groupBy(cells, ({ label }) => labelKey(label, "seed"))
    .filter((group) => group.length > 1)
    .map((group) => ({
      cells: group.map(({ analysis }) => analysis.id),
      name: names.withoutSeed(group[0]!.label),
      measures: measures.flatMap(({ id }) => {
        const values = Float64Array.from(group.flatMap(({ analysis }) => analysis.values[id]?.value ?? []));
        const error = standardError(values);
        if (error === null) return [];
        return [
          {
            measure: id,
            mean: mean(values)!,
            standardDeviation: error * Math.sqrt(values.length),
            min: Math.min(...values),
            max: Math.max(...values),
          },
        ];
      }),
    }));
}
