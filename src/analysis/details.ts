import type { BlockDamage, CellAnalysis, Finding, SeedSpread, StudyAnalysis } from "./analysis.js";
import type { LabelledCell } from "./cells.js";
import { groupBy } from "./labels.js";
import { OVERALL } from "./measures.js";
import { few, figure, listed, percent, plural } from "./numbers.js";

type Analysis = Omit<StudyAnalysis, "findings">;

/** Things named in one sentence. */
const MOST_NAMED = 5;

/** Which measures see the damage at which sparsity; curves that say the same are named together. */
export function firstMoved({ curves, measures }: Analysis): Finding[] {
  const titleOf = (id: string) => measures.find((measure) => measure.id === id)!.title;
  const told = curves
    .filter(({ points }) => points.length > 1)
    .map((curve) => {
      const moved = curve.moved.filter(({ measure }) => !measure.startsWith("taskDifference:"));
      const steps = groupBy(moved, ({ sparsity }) => String(sparsity)).map((group) => {
        const { sparsity } = group[0]!;
        const titles = group.map(({ measure }) => titleOf(measure));
        return `at ${sparsity === null ? "none" : percent(sparsity)} ${few(titles, MOST_NAMED)}`;
      });
      return { curve, text: steps.join("; ") };
    });
  return groupBy(told, ({ text }) => text).map((group) => ({
    kind: "first-moved",
    severity: "finding",
    text: `${listed(group.map(({ curve }) => curve.name))}: smallest sparsity at which a measure differs from the base: ${group[0]!.text}.`,
    cells: group.flatMap(({ curve }) => curve.points.flatMap(({ cells }) => cells)),
  }));
}

/** What the other calibration source changes. */
export function calibrations({ calibration, measures }: Analysis): Finding[] {
  const kinds = ["jsd", "perplexityRatio", OVERALL];
  const isOne = new Set(calibration.map(({ model }) => model)).size === 1;
  return calibration.flatMap(({ model, a, b, pairs, measures: compared }) => {
    const told = compared.flatMap(({ measure, mean, differences, better, p }) => {
      const { kind, title, unit } = measures.find(({ id }) => id === measure)!;
      if (!kinds.includes(kind) || mean === 0) return [];
      const size =
        unit === "share" ? percent(Math.abs(mean)) : `${figure(Math.abs(mean))}${unit === "nats" ? " nats" : ""}`;
      const chance = p === null ? "" : `, p ${figure(p)}`;
      return [
        `${title} is ${size} ${mean > 0 ? "higher" : "lower"} (better in ${better.b} of ${differences.length}${chance})`,
      ];
    });
    if (told.length === 0) return [];
    return [
      {
        kind: "calibration",
        severity: "finding",
        text: `${isOne ? "C" : `${model}: c`}alibrated on ${b} instead of ${a}, all else equal (${plural(pairs.length, "pair")}): ${told.join("; ")}.`,
        cells: pairs.flatMap((pair) => [pair.a, pair.b]),
      },
    ];
  });
}

/** Where the damage is done, on average over a model's cells. */
export function blocks({ blocks }: Analysis, cells: readonly LabelledCell[]): Finding[] {
  return byModel(blocks, cells, ({ cell }) => cell).flatMap(({ model, group }) => {
    const shares = new Map<number, number>();
    const whole = group.filter(({ blocks }) => blocks.every(({ share }) => share !== null));
    for (const { blocks } of whole)
      for (const { layer, share } of blocks) shares.set(layer, (shares.get(layer) ?? 0) + share! / whole.length);
    const worst = [...shares].sort(([, a], [, b]) => b - a).slice(0, 3);
    if (worst.length === 0) return [];
    const explained = whole.flatMap(({ explained }) => explained ?? []);
    const sums =
      explained.length === 0
        ? ""
        : ` The sum of the parts is ${percent(Math.min(...explained))} to ${percent(Math.max(...explained))} of the JSD that all blocks cause together.`;
    return [
      {
        kind: "blocks",
        severity: "finding",
        text: `${model}: of the JSD on ${group[0]!.source} of each block's compressed weights alone in the base, on average over ${plural(whole.length, "cell")} most comes from ${listed(worst.map(([layer, share]) => `block ${layer} (${percent(share)})`))}.${sums}`,
        cells: whole.map(({ cell }) => cell),
      },
    ];
  });
}

/** How much of a figure another draw of calibration windows would change. */
export function seeds({ seeds, measures }: Analysis, cells: readonly LabelledCell[]): Finding[] {
  return byModel(seeds, cells, ({ cells }) => cells[0]!).flatMap(({ model, group }) => {
    const told = measures
      .filter(({ kind }) => kind === "jsd" || kind === OVERALL)
      .flatMap(({ id, title, unit }) => {
        const widest = widestSpread(group, id);
        if (!widest) return [];
        const write = unit === "share" ? percent : figure;
        return [`${title} ${write(widest.mean)} ± ${write(widest.standardDeviation)} (${widest.name})`];
      });
    if (told.length === 0) return [];
    return [
      {
        kind: "seeds",
        severity: "finding",
        text: `${model}: another draw of calibration windows changes the figures by a standard deviation of, at most: ${told.join(", ")}.`,
        cells: group.flatMap(({ cells }) => cells),
      },
    ];
  });
}

function widestSpread(group: readonly SeedSpread[], measure: string) {
  return group
    .flatMap(({ name, measures }) => measures.filter((own) => own.measure === measure).map((own) => ({ ...own, name })))
    .sort((a, b) => b.standardDeviation - a.standardDeviation)[0];
}

function byModel<T extends BlockDamage | SeedSpread>(
  values: readonly T[],
  cells: readonly LabelledCell[],
  cellOf: (value: T) => CellAnalysis["id"],
) {
  const modelOf = (value: T) => cells.find(({ analysis }) => analysis.id === cellOf(value))!.label.model;
  return groupBy(values, modelOf).map((group) => ({ model: modelOf(group[0]!), group }));
}
