import type { Interval } from "../metrics/statistics/interval.js";
import { mean } from "../metrics/statistics/mean.js";
import type { CellLabel } from "../results/study-results.js";
import type { Curve, CurvePoint, Measure, MeasureValue } from "./analysis.js";
import type { LabelledCell } from "./cells.js";
import { type createNames, groupBy, labelKey, sparsityOf } from "./labels.js";
import { studentInterval } from "./student.js";

/** Cells by what they have in common but for sparsity and seed. */
export function curvesOf(
  cells: readonly LabelledCell[],
  measures: readonly Measure[],
  names: ReturnType<typeof createNames>,
): Curve[] {
  return groupBy(cells, ({ label }) => labelKey(label, "sparsity", "seed")).map((group) => {
    const label = group[0]!.label;
    const points = groupBy(group, ({ label }) => String(sparsityOf(label)))
      .map((own) => ({ own, point: pointOf(own, measures) }))
      .sort((a, b) => a.point.sparsity - b.point.sparsity);
    const moved = measures
      .filter(({ id }) => group.some(({ analysis }) => id in analysis.values))
      .map(({ id }) => {
        const first = points.find(({ own }) => own.every(({ analysis }) => analysis.values[id]?.differs === true));
        return { measure: id, sparsity: first?.point.sparsity ?? null };
      })
      .sort((a, b) => (a.sparsity ?? 1) - (b.sparsity ?? 1));
    return { ...commonOf(label), name: names.curve(label), points: points.map(({ point }) => point), moved };
  });
}

function commonOf({ model, method, methodOptions, calibration, pattern }: CellLabel) {
  return { model, method, methodOptions, calibration, pattern };
}

function pointOf(cells: readonly LabelledCell[], measures: readonly Measure[]): CurvePoint {
  const values: Record<string, CurvePoint["values"][string]> = {};
  for (const { id } of measures) {
    const own = cells.flatMap(({ analysis }) => analysis.values[id] ?? []);
    if (own.length === 0) continue;
    const numbers = Float64Array.from(own, ({ value }) => value);
    values[id] = { value: mean(numbers)!, interval: own.length === 1 ? own[0]!.interval : intervalOver(own) };
  }
  return { sparsity: sparsityOf(cells[0]!.label), cells: cells.map(({ analysis }) => analysis.id), values };
}

/**
 * 95% interval of a mean over seeds: their spread, and what the sample that all of them were measured on leaves open, which is
 * no smaller for many seeds than for one. The two are independent: their squares add up, on either side.
 */
function intervalOver(values: readonly MeasureValue[]): Interval | null {
  const numbers = Float64Array.from(values, ({ value }) => value);
  const spread = studentInterval(numbers);
  const own = values.map(({ interval }) => interval);
  if (spread === null || !own.every((interval) => interval !== null)) return null;
  const center = mean(numbers)!;
  const sampling = (end: 0 | 1) =>
    mean(Float64Array.from(own, (interval, i) => Math.abs(interval[end] - values[i]!.value)))!;
  return [center - Math.hypot(center - spread[0], sampling(0)), center + Math.hypot(spread[1] - center, sampling(1))];
}
