import type {
  Agreement,
  BlockDamage,
  BudgetChoice,
  CalibrationComparison,
  Curve,
  Finding,
  Measure,
  MeasureValue,
} from "../analysis/analysis.js";

/**
 * What the report page draws, as plain JSON: the one contract between data.ts, which makes it, and page/, which shows it.
 * What is opened late (items, samples) stands in chunks: gzip in base64, by name.
 */
export interface ReportDocument {
  readonly data: ReportData;
  readonly chunks: Readonly<Record<string, string>>;
}

/** Where a page that is served finds news of a study that still runs. */
export interface LiveEndpoints {
  /** Server-sent events: `progress` with {text, done, total}, and `changed` when there are new results. */
  readonly events: string;
  /** The ReportDocument as JSON. */
  readonly document: string;
}

export interface ReportData {
  readonly study: ReportStudy;
  readonly measures: readonly Measure[];
  readonly cells: readonly ReportCell[];
  /** Names of cells that are not finished. */
  readonly missing: readonly string[];
  /** Of those, the ones whose last attempt failed, and why. */
  readonly failed: readonly { readonly name: string; readonly error: string }[];
  readonly curves: readonly Curve[];
  readonly agreement: readonly Agreement[];
  readonly blocks: readonly BlockDamage[];
  readonly calibration: readonly CalibrationComparison[];
  readonly budget: readonly BudgetChoice[] | null;
  readonly findings: readonly Finding[];
  /** By name of the task. */
  readonly tasks: Readonly<Record<string, ReportTask>>;
  /** Everything that says how the figures came to be. */
  readonly provenance: readonly ProvenanceGroup[];
  /** The study file with every default written out, as YAML. */
  readonly definition: string;
}

interface ReportStudy {
  readonly name: string;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
  readonly pare: string;
  readonly models: readonly { readonly name: string; readonly parameters: number; readonly layers: number }[];
}

export interface ReportTask {
  readonly items: number;
  /** The first is the one that the task is judged by. */
  readonly metrics: readonly string[];
}

export interface ReportCell {
  readonly id: string;
  /** For people: `wanda 50% · c4 · seed 1`. */
  readonly name: string;
  readonly model: string;
  readonly method: string;
  /** `blockSize 128, damping 0.01`; empty where the method has none. */
  readonly options: string;
  /** Share of zeros asked for; n / m of a pattern. */
  readonly target: number;
  readonly pattern: string | null;
  readonly calibration: string | null;
  readonly seed: number | null;
  /** Share of zeros over the compressed sites. */
  readonly sparsity: number;
  /** On the first text. */
  readonly perplexity: number | null;
  /** By Measure.id. */
  readonly values: Readonly<Record<string, MeasureValue>>;
  readonly perplexityMisleads: boolean;
  readonly layers: LayerSparsity;
  readonly samples: readonly ReportSample[];
  readonly items: readonly ReportItems[];
}

/** Share of zeros by layer. */
export interface LayerSparsity {
  readonly layers: readonly number[];
  /** By kind of site (`self_attn.q_proj`), in the order of `layers`; null where a layer has none. */
  readonly kinds: Readonly<Record<string, readonly (number | null)[]>>;
}

/** A window of text for the heat map. */
export interface ReportSample {
  readonly source: string;
  readonly window: number;
  readonly tokens: number;
  /** Tokens of the window that the study's folder has; more than `tokens` where the page was to stay small. */
  readonly of: number;
  /** Names of chunks: a BaseSampleChunk and a SampleChunk. */
  readonly base: string;
  readonly chunk: string;
}

/** Likeliest tokens at a position: index into `strings` and probability in thousandths, alternating. */
type Top = readonly number[];

export interface BaseSampleChunk {
  readonly strings: readonly string[];
  /** Index into `strings` of every token. */
  readonly tokens: readonly number[];
  readonly top: readonly Top[];
}

export interface SampleChunk {
  readonly strings: readonly string[];
  /** Nats. */
  readonly jsd: readonly (number | null)[];
  readonly top: readonly Top[];
}

/** One task's items of one cell. */
export interface ReportItems {
  readonly task: string;
  /** Items in the chunk, and in the study's folder. */
  readonly shown: number;
  readonly of: number;
  /** Names of chunks: a BaseItemsChunk, which cells share, and an ItemsChunk. */
  readonly base: string;
  readonly chunk: string;
}

/** What is the same for every cell of a model. */
export interface BaseItem {
  readonly id: string;
  readonly prompt: string;
  /** What stands before each choice, where that is not always the prompt. */
  readonly contexts: readonly string[] | null;
  readonly references: readonly string[];
  readonly choices: readonly string[] | null;
  readonly gold: number | null;
  readonly answer: ReportAnswer | null;
  readonly scores: Readonly<Record<string, number | null>>;
}

export type BaseItemsChunk = readonly BaseItem[];

/** What an answer says: its text and what the metrics see of it (null: the same), or the choice taken. */
export type ReportAnswer =
  | { readonly text: string; readonly prediction: string | null }
  | { readonly chosen: number | null };

export interface CellItem {
  /** Place in the BaseItemsChunk. */
  readonly at: number;
  /** Null: word for word the base's. */
  readonly answer: ReportAnswer | null;
  readonly scores: Readonly<Record<string, number>>;
  readonly firstDivergentToken: number | null;
}

export type ItemsChunk = readonly CellItem[];

export interface ProvenanceGroup {
  readonly title: string;
  readonly facts: readonly (readonly [name: string, value: string])[];
}
