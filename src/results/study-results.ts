import type { CalibrationRecord } from "../calibration/calibration.js";
import type { DivergenceSummary, QuantileSummary } from "../metrics/summary.js";
import type { TaskRecord } from "../task-evaluation/evaluate-tasks.js";
import type { TaskSummary } from "../task-evaluation/summary.js";
import type { EvaluationRecord } from "../text-evaluation/evaluation-data.js";
import type { SiteResult } from "./compression-record.js";
import type { EnvironmentRecord } from "./environment.js";
import type { ModelRecord } from "./model-record.js";

/**
 * What a study's folder holds, for whoever reads it: the report, the terminal, other programs.
 *
 *     study.json            StudyRecord: what was asked, of which models, on what machine
 *     cells/ID.json         CellResult: everything measured on one compressed model
 *     cells/ID.SOURCE.tokens.parquet   every scored position of a source (see per-token.ts)
 *     cells/ID.items.jsonl  every task item with both models' answers (ItemResult)
 *     cells/ID.items.parquet    their scores, a row for each metric (see items-parquet.ts)
 *     cells/ID.failed.json  FailedCell: why a cell has no results
 *     summary.csv           a line a cell
 *     lm-eval/MODEL/        tasks as lm-evaluation-harness writes them
 *     checkpoints/NAME      compressed models, where they are kept
 *     parts/, locks/, work/ what the results are put together from, who computes, what is being made
 */
export const STUDY_SCHEMA = 1;

/** What distinguishes a cell of the grid. */
export interface CellLabel {
  /** Name of the base model. */
  readonly model: string;
  readonly method: string;
  readonly methodOptions: Readonly<Record<string, unknown>>;
  /** Share of zeros asked for; null for a pattern. */
  readonly sparsity: number | null;
  /** `2:4`; null for a share. */
  readonly pattern: string | null;
  /** Source of calibration windows; null for methods that need none. */
  readonly calibration: string | null;
  readonly seed: number | null;
}

interface StudyModel extends ModelRecord {
  readonly name: string;
  readonly family: string;
  readonly parameters: number;
  readonly layers: number;
}

export interface StudyRecord {
  readonly schema: typeof STUDY_SCHEMA;
  readonly name: string;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
  /** The study file with every default written out. */
  readonly definition: unknown;
  readonly environment: EnvironmentRecord;
  readonly models: readonly StudyModel[];
  /** In the order in which they are computed. */
  readonly cells: readonly { readonly id: string; readonly label: CellLabel }[];
}

/** A cell that could not be computed. */
export interface FailedCell {
  readonly schema: typeof STUDY_SCHEMA;
  readonly id: string;
  readonly label: CellLabel;
  /** ISO 8601, UTC. */
  readonly failedAt: string;
  /** One line. */
  readonly error: string;
}

/** One compressed model, measured against its base. */
export interface CellResult {
  readonly schema: typeof STUDY_SCHEMA;
  /** SHA-256 of what determines the result, shortened. */
  readonly id: string;
  readonly label: CellLabel;
  readonly finishedAt: string;
  readonly environment: EnvironmentRecord;
  readonly compression: {
    /** Share of zeros over the compressed sites. */
    readonly sparsity: number;
    readonly sites: Readonly<Record<string, SiteResult>>;
    readonly calibration: CalibrationRecord | null;
    readonly sha256: string;
    /** Of the weights' files. */
    readonly bytes: number;
  };
  /** By source of text. */
  readonly text: Readonly<Record<string, TextResult>>;
  /** By task. */
  readonly tasks: Readonly<Record<string, TaskSummary>>;
  readonly taskRecords: Readonly<Record<string, TaskRecord>>;
  /** Each block's compressed weights alone in the base; null where that was not asked for. */
  readonly blocks: readonly BlockResult[] | null;
  /** Some windows token by token, for reading; null where that was not asked for. */
  readonly sample: readonly SampleWindow[] | null;
  /** By stage. */
  readonly seconds: Readonly<Record<string, number>>;
}

export type TextResult = DivergenceSummary & {
  readonly data: EvaluationRecord;
  readonly noiseFloor?: { readonly relativeNoise: number; readonly jsd: QuantileSummary; readonly kl: QuantileSummary };
};

/** What one block's compressed weights do when all others are the base's. */
export interface BlockResult {
  readonly layer: number;
  /** Mean over positions, nats, and its standard error clustered by window. */
  readonly jsd: { readonly mean: number | null; readonly standardError: number | null };
}

/** One window of text as both models see it. */
export interface SampleWindow {
  readonly source: string;
  readonly window: number;
  readonly tokens: readonly SampleToken[];
}

export interface SampleToken {
  readonly text: string;
  /** Of predicting this token, nats; null for a window's first token. */
  readonly jsd: number | null;
  /** What base and compressed model found likeliest here, with probabilities. */
  readonly base: readonly Likely[];
  readonly compressed: readonly Likely[];
}

export type Likely = readonly [text: string, probability: number];
