import type { MeanSummary } from "../metrics/statistics/clustered-mean.js";
import { type Interval, Z } from "../metrics/statistics/interval.js";
import type { CellResult, TextResult } from "../results/study-results.js";
import { type MetricSummary, metricsOf, type TaskSummary, textOf } from "../task-evaluation/summary.js";
import type { Measure, MeasureKind, MeasureValue } from "./analysis.js";

/** Two-sided. */
const SIGNIFICANT = 0.05;

export const OVERALL = "overallTaskLoss";

const ALWAYS: Interval = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
const NOT_NEGATIVE: Interval = [0, Number.POSITIVE_INFINITY];
const SHARE: Interval = [0, 1];
/** Of a score nothing more than all can be lost, and any amount be won. */
const AT_MOST_ALL: Interval = [Number.NEGATIVE_INFINITY, 1];

/** Measures of cells, in the order of the table: texts, the tasks together, each task. */
export function measuresOf(cells: readonly CellResult[]): Measure[] {
  const texts = unique(cells.flatMap(({ text }) => Object.keys(text)));
  const tasks = unique(cells.flatMap(({ tasks }) => Object.keys(tasks)));
  const metrics = (task: string) =>
    unique(cells.flatMap((cell) => metricsOf(cell.tasks[task] ?? {}).map(([metric]) => metric)));
  const all: Measure[] = [
    ...texts.flatMap((source) => TEXT_KINDS.map((kind) => measure(kind, source))),
    measure(OVERALL),
    ...tasks.flatMap((task) => [
      ...metrics(task).map((metric) => measure("taskDifference", task, metric)),
      measure("taskLoss", task, metrics(task)[0] ?? null),
      measure("taskJsd", task),
      measure("answerJsd", task),
    ]),
  ];
  const values = cells.map(valuesOf);
  return all.filter(({ id }) => values.some((own) => id in own));
}

/** A cell's figures by Measure.id; what it does not have is left out. */
export function valuesOf(cell: CellResult): Record<string, MeasureValue> {
  const values: Record<string, MeasureValue | undefined> = {};
  for (const [source, text] of Object.entries(cell.text)) {
    values[idOf("perplexityRatio", source)] = ratioValue(text);
    values[idOf("jsd", source)] = divergence(text.jsd, text.data.windows, text.noiseFloor?.jsd);
    values[idOf("kl", source)] = divergence(text.kl, text.data.windows, text.noiseFloor?.kl);
    values[idOf("top1Changed", source)] = meanValue(complement(text.sameTop1), text.data.windows, 0, SHARE);
  }
  const losses: MeasureValue[] = [];
  for (const [task, summary] of Object.entries(cell.tasks)) {
    const metrics = metricsOf(summary);
    for (const [metric, figures] of metrics) values[idOf("taskDifference", task, metric)] = differenceValue(figures);
    const first = metrics[0]?.[1];
    const loss = first && relativeLoss(first);
    values[idOf("taskLoss", task)] = loss;
    if (loss) losses.push(loss);
    values[idOf("taskJsd", task)] = onText(summary, "targetText", first?.items ?? null);
    values[idOf("answerJsd", task)] = onText(summary, "answerText", first?.items ?? null);
  }
  values[OVERALL] = overallLoss(losses);
  return Object.fromEntries(Object.entries(values).filter((entry): entry is [string, MeasureValue] => !!entry[1]));
}

/** Whether a value differs from an unchanged model's for the worse. */
export function isWorse({ worse, unchanged }: Measure, { differs, value }: MeasureValue): boolean {
  return differs === true && (worse === "higher" ? value > unchanged : value < unchanged);
}

const TEXT_KINDS = ["perplexityRatio", "jsd", "kl", "top1Changed"] as const;

export function idOf(kind: MeasureKind, source?: string, metric?: string): string {
  return [kind, ...(source === undefined ? [] : [source]), ...(metric === undefined ? [] : [metric])].join(":");
}

function measure(kind: MeasureKind, source?: string, metric?: string | null): Measure {
  const id = kind === "taskDifference" ? idOf(kind, source, metric ?? undefined) : idOf(kind, source);
  return {
    id,
    kind,
    source: source ?? null,
    metric: metric ?? null,
    title: titleOf(kind, source ?? "", metric ?? "score"),
    unit: UNITS[kind],
    unchanged: kind === "perplexityRatio" ? 1 : 0,
    worse: kind === "taskDifference" ? "lower" : "higher",
  };
}

const UNITS: Readonly<Record<MeasureKind, Measure["unit"]>> = {
  perplexityRatio: "ratio",
  jsd: "nats",
  kl: "nats",
  top1Changed: "share",
  taskJsd: "nats",
  answerJsd: "nats",
  taskDifference: "score",
  taskLoss: "share",
  overallTaskLoss: "share",
};

function titleOf(kind: MeasureKind, source: string, metric: string): string {
  switch (kind) {
    case "perplexityRatio":
      return `perplexity ratio on ${source}`;
    case "jsd":
      return `JSD on ${source}`;
    case "kl":
      return `KL(base‖compressed) on ${source}`;
    case "top1Changed":
      return `changed top tokens on ${source}`;
    case "taskJsd":
      return `JSD on ${source}'s references`;
    case "answerJsd":
      return `JSD on the base's answers to ${source}`;
    case "taskDifference":
      return `${source} ${metric}, compressed - base`;
    case "taskLoss":
      return `loss of ${source} ${metric}`;
    case "overallTaskLoss":
      return "overall task loss";
  }
}

/** Its interval is that of the mean difference of losses: symmetric in logarithms. */
function ratioValue({ perplexity, loss, data }: TextResult): MeasureValue | undefined {
  const nats = meanValue({ mean: loss.difference, standardError: loss.differenceStandardError }, data.windows, 0);
  if (!nats || perplexity.ratio === null) return undefined;
  const interval: Interval | null = nats.interval && [Math.exp(nats.interval[0]), Math.exp(nats.interval[1])];
  return { ...nats, value: perplexity.ratio, standardError: perplexity.ratioStandardError, interval };
}

function divergence(summary: MeanSummary, n: number | null, noise?: MeanSummary): MeasureValue | undefined {
  const value = meanValue(summary, n, 0, NOT_NEGATIVE);
  if (!value || !noise || noise.mean === null) return value;
  const most = noise.mean + Z * (noise.standardError ?? 0);
  return { ...value, noiseFloor: noise.mean, differs: value.interval && value.interval[0] > most };
}

/** The normal interval of a mean, cut to what the figure can be. */
function meanValue(
  { mean, standardError }: MeanSummary,
  n: number | null,
  unchanged: number,
  range: Interval = ALWAYS,
): MeasureValue | undefined {
  if (mean === null) return undefined;
  const cut = (value: number) => Math.min(Math.max(value, range[0]), range[1]);
  const interval: Interval | null =
    standardError === null ? null : [cut(mean - Z * standardError), cut(mean + Z * standardError)];
  const differs = interval && (unchanged < interval[0] || unchanged > interval[1]);
  return { value: mean, standardError, interval, differs, noiseFloor: null, n };
}

function complement({ mean, standardError }: MeanSummary): MeanSummary {
  return { mean: mean === null ? null : 1 - mean, standardError };
}

function onText(summary: TaskSummary, which: "targetText" | "answerText", items: number | null) {
  const text = textOf(summary, which);
  return text && divergence(text.jsd, items);
}

function differenceValue({ difference, interval, items, p, pHolm }: MetricSummary): MeasureValue | undefined {
  if (difference === null) return undefined;
  return {
    value: difference,
    standardError: standardErrorOf(interval),
    interval,
    differs: differs(p, pHolm),
    noiseFloor: null,
    n: items,
  };
}

function differs(p: number | null, pHolm: number | null): boolean | null {
  const adjusted = pHolm ?? p;
  return adjusted === null ? null : adjusted < SIGNIFICANT;
}

/**
 * 1 - C / B of mean scores on the same items, its standard error by the delta method:
 * var(C/B) = (var C - 2 (C/B) cov(B, C) + (C/B)² var B) / B², where 2 cov(B, C) = var B + var C - var(C - B).
 * Where that is 0, since C is 0 on every item say, a sample tells nothing of C/B; then it is that of (B - C) / B with B as it is.
 */
function relativeLoss(figures: MetricSummary): MeasureValue | undefined {
  const { base, compressed, baseStandardError: b, compressedStandardError: c, interval, items, p, pHolm } = figures;
  if (base === null || compressed === null || base <= 0) return undefined;
  const recovery = compressed / base;
  const d = standardErrorOf(interval);
  const value = 1 - recovery;
  let standardError: number | null = null;
  if (b !== null && c !== null && d !== null) {
    const variance = c ** 2 - recovery * (b ** 2 + c ** 2 - d ** 2) + recovery ** 2 * b ** 2;
    // Rounding leaves some 1e-17 of what is 0.
    standardError = (variance > 1e-12 * d ** 2 ? Math.sqrt(variance) : d) / base;
  }
  return {
    value,
    standardError,
    interval: standardError === null ? null : [value - Z * standardError, Math.min(1, value + Z * standardError)],
    differs: differs(p, pHolm),
    noiseFloor: null,
    n: items,
  };
}

/** Mean of the tasks' relative losses, whose errors are taken for independent; of one task it is that one. */
function overallLoss(losses: readonly MeasureValue[]): MeasureValue | undefined {
  if (losses.length < 2) return losses[0];
  const errors = losses.map(({ standardError }) => standardError);
  const squares = errors.every((error) => error !== null) ? errors.reduce((sum, error) => sum + error ** 2, 0) : null;
  const summary = {
    mean: losses.reduce((sum, { value }) => sum + value, 0) / losses.length,
    standardError: squares === null ? null : Math.sqrt(squares) / losses.length,
  };
  return meanValue(
    summary,
    losses.reduce((sum, { n }) => sum + (n ?? 0), 0),
    0,
    AT_MOST_ALL,
  );
}

/** Half of a 95% interval in standard errors of a normal distribution. */
function standardErrorOf(interval: Interval | null): number | null {
  return interval && (interval[1] - interval[0]) / (2 * Z);
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)];
}
