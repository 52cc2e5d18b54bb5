import type { Finding, Measure, StudyAnalysis } from "./analysis.js";
import type { LabelledCell } from "./cells.js";
import { groupBy, labelKey } from "./labels.js";
import { idOf, OVERALL } from "./measures.js";
import { few, figure, percent, plural } from "./numbers.js";

type Analysis = Omit<StudyAnalysis, "findings">;

/** A task whose difference is known no better than this (half an interval) cannot show a loss of a few points. */
const WIDE_INTERVAL = 0.05;
/** Intervals of fewer items' means hold the truth less often than they say: those of a bootstrap, say, 84 instead of 95 times in 100 for 5. */
const FEW_ITEMS = 20;
/** Fewer windows make poor standard errors: Cameron and Miller 2015 call fewer than 20 clusters too few at the least. */
const FEW_WINDOWS = 20;
/** Fewer cells rank by chance: below 10, a tau of 0.5 is within what independent columns often give. */
const FEW_CELLS = 10;
const MOST_NAMED = 5;

/** What the figures cannot say. */
export function warningsOf(analysis: Analysis, cells: readonly LabelledCell[]): Finding[] {
  return [
    ...missing(analysis),
    ...notFinite(analysis),
    ...fewItems(analysis),
    ...nothingToLose(analysis),
    ...fewWindows(analysis),
    ...withinNoise(analysis),
    ...fewCells(analysis, cells),
    ...nearZero(analysis, cells),
  ];
}

function warning(kind: Finding["kind"], text: string, cells: readonly string[] = []): Finding {
  return { kind, severity: "warning", text, cells };
}

function missing({ missing, cells }: Analysis): Finding[] {
  if (missing.length === 0) return [];
  const all = missing.length + cells.length;
  return [
    warning(
      "missing",
      `Not finished: ${missing.length} of ${plural(all, "cell")}; all that is said here is about the others.`,
      missing,
    ),
  ];
}

function notFinite({ cells }: Analysis): Finding[] {
  const broken = cells.filter(({ nonFinite }) => nonFinite > 0);
  if (broken.length === 0) return [];
  const named = few(
    broken.map(({ name, nonFinite }) => `${name} (${percent(nonFinite)} of a text)`),
    MOST_NAMED,
  );
  const text = `Logits are not finite in ${named}: such positions are in no figure, and these cells in no budget.`;
  return [{ kind: "not-finite", severity: "serious", text, cells: broken.map(({ id }) => id) }];
}

function fewItems({ cells, measures }: Analysis): Finding[] {
  return firstMetrics(measures).flatMap(({ id, source, metric }) => {
    const values = cells.flatMap(({ values }) => values[id] ?? []);
    const halves = values.flatMap(({ interval }) => (interval ? [(interval[1] - interval[0]) / 2] : []));
    const widest = Math.max(...halves);
    const items = values[0]?.n ?? 0;
    const isNarrow = halves.length > 0 && widest <= WIDE_INTERVAL;
    if (isNarrow && items >= FEW_ITEMS) return [];
    const width =
      halves.length === 0
        ? "no interval can be given"
        : isNarrow
          ? "its intervals are themselves uncertain, and likely too narrow"
          : `differences of ${metric} are known to ± ${figure(widest)} only, and a smaller loss cannot be seen`;
    return [warning("few-items", `${source} was measured on ${plural(items, "item")}: ${width}.`)];
  });
}

/** Of a score of 0 no share can be lost: such a task counts in no task loss. */
function nothingToLose({ cells, measures }: Analysis): Finding[] {
  const tasks = [
    ...new Set(measures.flatMap(({ kind, source }) => (kind === "taskDifference" && source ? [source] : []))),
  ];
  return tasks.flatMap((task) => {
    const scored = measures.filter(({ kind, source }) => kind === "taskDifference" && source === task);
    const without = cells.filter(
      ({ values }) => scored.some(({ id }) => id in values) && !(idOf("taskLoss", task) in values),
    );
    if (without.length === 0) return [];
    const whose = without.length === cells.length ? "" : `, of ${plural(without.length, "cell")}`;
    return [warning("few-items", `${task}: the base has a score of 0${whose}, so that it counts in no loss.`)];
  });
}

function firstMetrics(measures: readonly Measure[]): Measure[] {
  const losses = measures.filter(({ kind }) => kind === "taskLoss");
  return measures.filter(
    ({ kind, source, metric }) =>
      kind === "taskDifference" && losses.some((loss) => loss.source === source && loss.metric === metric),
  );
}

function fewWindows({ cells, measures }: Analysis): Finding[] {
  return measures
    .filter(({ kind }) => kind === "jsd")
    .flatMap(({ id, source }) => {
      const counts = cells.flatMap(({ values }) => values[id]?.n ?? []);
      const least = Math.min(...counts);
      if (counts.length === 0 || least >= FEW_WINDOWS) return [];
      const text =
        least === 1 ? "no interval can be given" : "the intervals are themselves uncertain, and likely too narrow";
      return [warning("few-items", `${source} was measured on ${plural(least, "window")}: ${text}.`)];
    });
}

function withinNoise({ cells, measures }: Analysis): Finding[] {
  return measures
    .filter(({ kind }) => kind === "jsd")
    .flatMap(({ id, title }) => {
      const lost = cells.filter(({ values }) => values[id]?.differs === false && values[id].noiseFloor !== null);
      if (lost.length === 0) return [];
      const names = few(
        lost.map(({ name }) => name),
        MOST_NAMED,
      );
      return [
        warning(
          "noise-floor",
          `${title} cannot be told from rounding noise in ${names}: differences between these cells mean nothing.`,
          lost.map(({ id }) => id),
        ),
      ];
    });
}

function fewCells({ agreement }: Analysis, all: readonly LabelledCell[]): Finding[] {
  return agreement.flatMap(({ model, cells }) => {
    // Seeds of one setting say much the same.
    const own = all.filter(({ label, analysis }) => label.model === model && OVERALL in analysis.values);
    const settings = groupBy(own, ({ label }) => labelKey(label, "seed")).length;
    if (settings >= FEW_CELLS) return [];
    const over =
      settings === cells ? plural(cells, "cell") : `${plural(cells, "cell")}, seeds of ${plural(settings, "setting")},`;
    const text = `Rank agreement over ${over} of ${model} says little: below ${FEW_CELLS}, chance alone gives high values.`;
    return [warning("agreement", text)];
  });
}

/** Close to the base, tasks do not move and divergences hardly do: ranks are then those of noise. */
function nearZero({ measures }: Analysis, cells: readonly LabelledCell[]): Finding[] {
  const losses = measures.filter(({ kind }) => kind === "taskLoss" || kind === OVERALL);
  return groupBy(cells, ({ label }) => label.model).flatMap((own) => {
    const judged = own.filter(({ analysis }) => OVERALL in analysis.values).map(({ analysis }) => analysis);
    const still = judged.filter(({ values }) => losses.every(({ id }) => values[id]?.differs !== true));
    if (judged.length < 3 || 2 * still.length <= judged.length) return [];
    return [
      warning(
        "near-zero",
        `In ${still.length} of ${plural(judged.length, "cell")} of ${own[0]!.label.model} no task differs from the base beyond chance. So close to it, the order of task losses is mostly noise, and no measure can agree with it: rank agreement says nothing about such cells.`,
        still.map(({ id }) => id),
      ),
    ];
  });
}
