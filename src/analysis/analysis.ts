import type { MeanSummary } from "../metrics/statistics/clustered-mean.js";
import type { CorrelationEstimate } from "../metrics/statistics/correlation.js";
import type { Interval } from "../metrics/statistics/interval.js";

/**
 * What a study's cells say together. Everything here is computed from study.json and cells/*.json alone, and plain JSON.
 * Divergences are nats; intervals are 95%; task losses are shares of the base's score (0.02: two percent of it are lost).
 */
export interface StudyAnalysis {
  /** The columns: every figure that at least one cell has, texts first, then tasks, in the order of the study. */
  readonly measures: readonly Measure[];
  /** The rows: finished cells in the order of the study. */
  readonly cells: readonly CellAnalysis[];
  /** Cells of the study that are not finished. */
  readonly missing: readonly string[];
  readonly curves: readonly Curve[];
  /** One entry a model. */
  readonly agreement: readonly Agreement[];
  /** One entry a cell whose blocks were swapped into the base one by one. */
  readonly blocks: readonly BlockDamage[];
  /** One entry a pair of calibration sources of a model. */
  readonly calibration: readonly CalibrationComparison[];
  /** Groups of at least two cells that only their seed tells apart. */
  readonly seeds: readonly SeedSpread[];
  /** One entry a model; null where the study names no budget. */
  readonly budget: readonly BudgetChoice[] | null;
  readonly findings: readonly Finding[];
}

export type MeasureKind =
  /** Perplexity compressed / base on a text; a base's is 1. */
  | "perplexityRatio"
  /** JSD(base, compressed) on a text, nats. */
  | "jsd"
  /** KL(base‖compressed) on a text, nats. */
  | "kl"
  /** Share of a text's positions at which base and compressed find another token likeliest: 1 - same top 1. */
  | "top1Changed"
  /** JSD on a task's references, nats. */
  | "taskJsd"
  /** JSD along the base's own answers to a task, nats. */
  | "answerJsd"
  /** A task metric, compressed - base. */
  | "taskDifference"
  /** 1 - compressed / base of a task's first metric. */
  | "taskLoss"
  /** Mean of `taskLoss` over tasks. */
  | "overallTaskLoss";

/** One column. */
export interface Measure {
  /** `jsd:wikitext2`, `taskDifference:squad:f1`, `overallTaskLoss`: keys of CellAnalysis.values. */
  readonly id: string;
  readonly kind: MeasureKind;
  /** Of the text or task; null over all tasks. */
  readonly source: string | null;
  /** Of `taskDifference` and `taskLoss`. */
  readonly metric: string | null;
  /** For people: `JSD on wikitext2`. */
  readonly title: string;
  readonly unit: "nats" | "ratio" | "share" | "score";
  /** What an unchanged model has. */
  readonly unchanged: 0 | 1;
  /** Which way a compressed model gets worse. */
  readonly worse: "higher" | "lower";
}

export interface MeasureValue {
  readonly value: number;
  readonly standardError: number | null;
  readonly interval: Interval | null;
  /**
   * Whether it differs from an unchanged model's: null where that cannot be said. Of a divergence, whether its interval is
   * above that of the noise floor (without one: above 0); of a task's first metric, Holm's p < 0.05 over the cell's tasks,
   * of its others p < 0.05; of all else, whether the interval leaves out `unchanged`.
   */
  readonly differs: boolean | null;
  /** Mean of the same divergence of the base against itself under noise. */
  readonly noiseFloor: number | null;
  /** How many windows' or items' figures it is the mean of. */
  readonly n: number | null;
}

export interface CellAnalysis {
  readonly id: string;
  /** For people: `wanda 50% · c4 · seed 1`; the model's name in front where the study has several. */
  readonly name: string;
  /** By Measure.id. */
  readonly values: Readonly<Record<string, MeasureValue>>;
  /** Perplexity looks fine (every text's ratio below 1.1) and tasks are lost (a task's or the overall loss is significant). */
  readonly perplexityMisleads: boolean;
  /** Largest share of a text's positions that are in no figure, since their logits are not finite. */
  readonly nonFinite: number;
}

/** Points of rising sparsity of one model, method, options and calibration source; each n:m pattern is a curve of its own. */
export interface Curve {
  readonly model: string;
  readonly method: string;
  readonly methodOptions: Readonly<Record<string, unknown>>;
  readonly calibration: string | null;
  readonly pattern: string | null;
  /** For people: `wanda · c4`. */
  readonly name: string;
  readonly points: readonly CurvePoint[];
  /** Smallest sparsity at which each measure differs (at every seed), first ones first; null: at none. */
  readonly moved: readonly { readonly measure: string; readonly sparsity: number | null }[];
}

export interface CurvePoint {
  /** Share of zeros asked for; n / m of a pattern. */
  readonly sparsity: number;
  /** More than one: seeds. */
  readonly cells: readonly string[];
  /** Mean over `cells`, by Measure.id, and an interval: a single cell's own; over seeds Student's t of their spread and their own together. */
  readonly values: Readonly<Record<string, { readonly value: number; readonly interval: Interval | null }>>;
}

/** How well a model's measures rank its cells by the task score that they lose. */
export interface Agreement {
  readonly model: string;
  /** Cells that have an overall task loss. */
  readonly cells: number;
  readonly measures: readonly MeasureAgreement[];
  /** JSD against perplexity ratio on the same text: which ranks better? Paired bootstrap over cells. */
  readonly jsdAgainstPerplexity: readonly {
    readonly source: string;
    /** Kendall's tau of JSD less that of the perplexity ratio. */
    readonly difference: number;
    readonly interval: Interval | null;
  }[];
}

export interface MeasureAgreement {
  /** A Measure.id, or `taskJsd` / `answerJsd` for the mean over tasks. */
  readonly measure: string;
  readonly title: string;
  /** With the overall task loss; positive: worse by the measure, worse in the tasks. */
  readonly kendall: CorrelationEstimate;
  readonly spearman: CorrelationEstimate;
}

export interface BlockDamage {
  readonly cell: string;
  /** Of the text that the blocks were measured on. */
  readonly source: string;
  readonly blocks: readonly (MeanSummary & {
    readonly layer: number;
    /** Of the sum of the parts; null where that is 0. */
    readonly share: number | null;
  })[];
  /** Sum of the blocks' JSD alone, nats, and JSD with all of them. */
  readonly sum: number;
  readonly whole: number | null;
  /** sum / whole: 1 where the parts explain the whole, below it where blocks make each other worse. */
  readonly explained: number | null;
  /** Layers by falling damage. */
  readonly worst: readonly number[];
}

/** b against a, over pairs of cells that differ in nothing else. */
export interface CalibrationComparison {
  readonly model: string;
  readonly a: string;
  readonly b: string;
  readonly pairs: readonly { readonly a: string; readonly b: string }[];
  readonly measures: readonly {
    readonly measure: string;
    /** b - a, of each setting that has it: the mean of the pairs that differ in their seeds alone. */
    readonly differences: readonly number[];
    readonly mean: number;
    /** Settings in which a is better, b is better. */
    readonly better: { readonly a: number; readonly b: number };
    /** Two-sided paired permutation test over settings, not adjusted; null for fewer than two. */
    readonly p: number | null;
  }[];
}

export interface SeedSpread {
  readonly cells: readonly string[];
  /** For people, without the seed. */
  readonly name: string;
  readonly measures: readonly {
    readonly measure: string;
    readonly mean: number;
    /** Over seeds, n - 1. */
    readonly standardDeviation: number;
    readonly min: number;
    readonly max: number;
  }[];
}

/** What a compressed model may cost; what is given has to hold together. */
export interface Budget {
  /** Largest JSD over the texts, nats. */
  readonly jsd?: number;
  /** Overall task loss. */
  readonly taskLoss?: number;
  /** Largest perplexity ratio over the texts. */
  readonly perplexityRatio?: number;
}

export interface BudgetChoice {
  readonly model: string;
  readonly budget: Budget;
  /** The sparsest cell within the budget, of equals the one that uses least of it; null: none is. */
  readonly best: string | null;
  /** All cells within, best first. */
  readonly within: readonly {
    readonly cell: string;
    /** Largest share of a budget that is used, 0 to 1. */
    readonly used: number;
    /** Whether the upper ends of the intervals are within as well. */
    readonly sure: boolean;
  }[];
}

export interface Finding {
  readonly kind:
    | "headline"
    | "budget"
    | "method"
    | "first-moved"
    | "perplexity-misleads"
    | "agreement"
    | "blocks"
    | "calibration"
    | "seeds"
    | "noise-floor"
    | "few-items"
    | "near-zero"
    | "missing"
    | "not-finite";
  /** `warning`: do not read more out of the figures than this. */
  readonly severity: "finding" | "warning" | "serious";
  /** A sentence or two in plain text. */
  readonly text: string;
  /** What it is about; empty: the whole study. */
  readonly cells: readonly string[];
}

/** A perplexity ratio below this passes for harmless. */
export const HARMLESS_RATIO = 1.1;
