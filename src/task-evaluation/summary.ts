import { choiceMetrics, lastWordMetrics } from "../metrics/choice/registry.js";
import {
  type ContinuationColumns,
  type ContinuationSummary,
  summariseContinuations,
} from "../metrics/continuations.js";
import { comparePaired, type PairedComparison } from "../metrics/statistics/compare.js";
import { holm } from "../metrics/statistics/holm.js";
import type { Interval } from "../metrics/statistics/interval.js";
import { textMetric } from "../metrics/text/registry.js";
import type { Task } from "../tasks/task.js";
import type { ContinuationFigures } from "./continuations.js";
import type { ItemResult } from "./item-results.js";

/** A metric over a task's items: means, 95% intervals, and the difference compressed - base on the same items. */
export interface MetricSummary {
  readonly items: number;
  readonly base: number | null;
  readonly compressed: number | null;
  readonly baseStandardError: number | null;
  readonly compressedStandardError: number | null;
  readonly baseInterval: Interval | null;
  readonly compressedInterval: Interval | null;
  readonly difference: number | null;
  /** Of the difference. */
  readonly interval: Interval | null;
  /** Two-sided, of no difference. */
  readonly p: number | null;
  /** Holm's over the first metrics of all tasks that were measured together; null for a task's other metrics. */
  readonly pHolm: number | null;
  readonly test: PairedComparison["test"] | null;
  /** compressed / base. */
  readonly recovery: number | null;
  readonly flips: PairedComparison["flips"];
}

/**
 * Everything measured on a task: its metrics by name, and against a base `targetText` (divergences on the references),
 * `answerText` (on the base's own greedy answers) and `firstDivergentToken`.
 */
export type TaskSummary = {
  readonly [metric: string]: MetricSummary | ContinuationSummary | DivergentTokens;
};

/** A task's metrics, without what is measured on its text. */
export function metricsOf(summary: TaskSummary): [metric: string, summary: MetricSummary][] {
  return Object.entries(summary).filter((entry): entry is [string, MetricSummary] => "items" in entry[1]);
}

/** Divergences on a task's text, where they were measured. */
export function textOf(summary: TaskSummary, which: "targetText" | "answerText"): ContinuationSummary | undefined {
  const found = summary[which];
  return found && "tokens" in found ? found : undefined;
}

/** Where generated answers part, where there were two of each. */
export function divergentTokensOf({ firstDivergentToken: found }: TaskSummary): DivergentTokens | undefined {
  return found && "same" in found ? found : undefined;
}

/** Where generated answers part, over all items. */
interface DivergentTokens {
  /** Share of items whose answers are the same, token by token. */
  readonly same: number;
  /** Median place of the first token that differs, of the others; null where there are none. */
  readonly median: number | null;
}

/** A task's figures on the text of its items. */
export interface TaskFigures {
  readonly task: Task;
  readonly results: readonly ItemResult[];
  /** On the reference, of each item. */
  readonly references: readonly ContinuationFigures[];
  /** On the base's own answers. */
  readonly answers: readonly ContinuationFigures[];
}

/** Sums up every task; `seed` is that of the bootstrap and of the permutations. */
export function summariseTasks(tasks: readonly TaskFigures[], seed: number): Record<string, TaskSummary> {
  const metrics = tasks.map(({ task, results }) =>
    task.metrics.map((metric) => [metric, summariseMetric(metric, task, results, seed)] as const),
  );
  const firstOfEach = metrics.map(([first]) => first![1].p);
  const adjusted = holm(firstOfEach.filter((p) => p !== null));
  let next = 0;
  return Object.fromEntries(
    tasks.map(({ task, results, references, answers }, t) => {
      const [[name, first], ...others] = metrics[t] as [(typeof metrics)[number][number]];
      const pHolm = first.p === null ? null : adjusted[next++]!;
      const divergent = divergentTokens(results);
      return [
        task.name,
        {
          [name]: { ...first, pHolm },
          ...Object.fromEntries(others),
          ...onText("target", references),
          ...onText("answer", answers),
          ...(divergent ? { firstDivergentToken: divergent } : {}),
        },
      ];
    }),
  );
}

function summariseMetric(metric: string, task: Task, results: readonly ItemResult[], seed: number): MetricSummary {
  const scores = results.map((result) => result.scores[metric]!);
  const compressed = scores.map((score) => score.compressed);
  const alone = scores.some(({ base }) => base === null);
  const base = alone ? compressed : scores.map((score) => score.base!);
  const compared = comparePaired(base, compressed, { binary: isBinary(metric, task), seed });
  const ofBase = <T>(value: T) => (alone ? null : value);
  return {
    items: results.length,
    base: ofBase(compared.base.mean),
    compressed: compared.compressed.mean,
    baseStandardError: ofBase(compared.base.standardError),
    compressedStandardError: compared.compressed.standardError,
    baseInterval: ofBase(compared.base.interval),
    compressedInterval: compared.compressed.interval,
    difference: ofBase(compared.difference.mean),
    interval: ofBase(compared.difference.interval),
    p: ofBase(compared.p),
    pHolm: null,
    test: ofBase(compared.test),
    recovery: ofBase(compared.recovery),
    flips: ofBase(compared.flips),
  };
}

function isBinary(metric: string, task: Task): boolean {
  if (task.kind === "generate") return textMetric(metric).binary;
  const registry = task.kind === "choice" ? choiceMetrics : lastWordMetrics;
  return registry.find(({ name }) => name === metric)!.binary;
}

/** Divergences on continuations, as `<which>Text`; nothing without a base. */
function onText(which: "target" | "answer", figures: readonly ContinuationFigures[]) {
  const columns: ContinuationColumns[] = figures.flatMap(({ loss, base }) =>
    base ? [{ lossBase: base.loss, loss, jsd: base.jsd, kl: base.kl, sameTop1: base.sameTop1 }] : [],
  );
  return columns.length === 0 ? {} : { [`${which}Text`]: summariseContinuations(columns) };
}

function divergentTokens(results: readonly ItemResult[]): DivergentTokens | undefined {
  if (results.some(({ base, compressed }) => base === null || compressed.kind !== "generate")) return undefined;
  const places = results.flatMap(({ firstDivergentToken }) => firstDivergentToken ?? []).sort((a, b) => a - b);
  const middle = places.length / 2;
  return {
    same: 1 - places.length / results.length,
    median: places.length === 0 ? null : (places[Math.ceil(middle - 1)]! + places[Math.floor(middle)]!) / 2,
  };
}
