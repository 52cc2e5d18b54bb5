import type { MeanSummary } from "../../src/metrics/statistics/clustered-mean.js";
import { comparePaired } from "../../src/metrics/statistics/compare.js";
import type { QuantileSummary } from "../../src/metrics/summary.js";
import { createMersenneTwister } from "../../src/random/mersenne.js";
import type { EnvironmentRecord } from "../../src/results/environment.js";
import type { CellLabel, CellResult, StudyRecord, TextResult } from "../../src/results/study-results.js";
import type { TaskRecord } from "../../src/task-evaluation/evaluate-tasks.js";
import type { MetricSummary, TaskSummary } from "../../src/task-evaluation/summary.js";

/** Studies that nobody ran: figures are made up, consistent in themselves, and the same every time. */

type Pair = readonly [mean: number | null, standardError: number | null];

/** What a made-up text says; what is left out is an unchanged model's. */
export interface MadeText {
  readonly ratio?: number;
  /** Standard error of ln ratio. */
  readonly ratioError?: number;
  readonly jsd?: Pair;
  readonly kl?: Pair;
  readonly sameTop1?: Pair;
  readonly noise?: Pair;
  readonly windows?: number;
}

function madeLabel(label: Partial<CellLabel> = {}): CellLabel {
  return {
    model: "tiny",
    method: "wanda",
    methodOptions: {},
    sparsity: label.pattern ? null : 0.5,
    pattern: null,
    calibration: "c4",
    seed: 0,
    ...label,
  };
}

function madeText({ ratio = 1, ratioError = 0.01, ...made }: MadeText): TextResult {
  const { jsd = [0, 0], kl = [0, 0], sameTop1 = [1, 0], windows = 32, noise } = made;
  const base = 20;
  const mean = { mean: 0, standardError: 0 };
  return {
    positions: windows * 127,
    perplexity: {
      base,
      compressed: base * ratio,
      ratio,
      baseStandardError: 0.4,
      compressedStandardError: 0.4 * ratio,
      ratioStandardError: ratio * ratioError,
    },
    loss: {
      base: Math.log(base),
      compressed: Math.log(base * ratio),
      difference: Math.log(ratio),
      baseStandardError: 0.02,
      compressedStandardError: 0.02,
      differenceStandardError: ratioError,
    },
    jsd: quantiles(jsd),
    kl: quantiles(kl),
    klReverse: quantiles(kl),
    sameTop1: summary(sameTop1),
    top5Overlap: { mean: 1, standardError: 0 },
    deltaP: { ...mean, rms: 0 },
    totalVariation: mean,
    acceptance: { mean: 1, standardError: 0 },
    lnPerplexityCorrelation: 1,
    byConfidence: [],
    nonFinite: 0,
    data: {
      source: "text",
      split: null,
      files: [],
      windows,
      tokens: windows * 128,
      sequenceLength: 128,
      idsSha256: "0".repeat(64),
    },
    ...(noise ? { noiseFloor: { relativeNoise: 2 ** -9, jsd: quantiles(noise), kl: quantiles(noise) } } : {}),
  };
}

/** A metric of 0/1 scores, compared as pare does. */
export function madeMetric(base: readonly number[], compressed: readonly number[], pHolm?: number): MetricSummary {
  const compared = comparePaired(base, compressed, { binary: true, seed: 0 });
  return {
    items: base.length,
    base: compared.base.mean,
    compressed: compared.compressed.mean,
    baseStandardError: compared.base.standardError,
    compressedStandardError: compared.compressed.standardError,
    baseInterval: compared.base.interval,
    compressedInterval: compared.compressed.interval,
    difference: compared.difference.mean,
    interval: compared.difference.interval,
    p: compared.p,
    pHolm: pHolm ?? null,
    test: compared.test,
    recovery: compared.recovery,
    flips: compared.flips,
  };
}

export const madeEnvironment: EnvironmentRecord = {
  pare: "0.0.0",
  engine: "reference",
  engineVersion: "0",
  precision: "float64",
  node: "20.0.0",
  platform: "linux x64",
  processor: "made up",
  threads: 1,
};

export interface MadeCell {
  readonly id?: string;
  readonly label?: Partial<CellLabel>;
  readonly text?: Readonly<Record<string, MadeText>>;
  readonly tasks?: Readonly<Record<string, TaskSummary>>;
  readonly blocks?: readonly Pair[];
}

export function madeCell({ id, label, text = {}, tasks = {}, blocks }: MadeCell): CellResult {
  const full = madeLabel(label);
  return {
    schema: 1,
    id: id ?? JSON.stringify(full),
    label: full,
    finishedAt: "2026-01-01T00:00:00.000Z",
    environment: madeEnvironment,
    compression: {
      sparsity: full.sparsity ?? 0.5,
      sites: {},
      calibration: null,
      sha256: "1".repeat(64),
      bytes: 1_000_000,
    },
    text: Object.fromEntries(Object.entries(text).map(([name, made]) => [name, madeText(made)])),
    tasks,
    taskRecords: Object.fromEntries(Object.keys(tasks).map((task) => [task, taskRecord])),
    blocks: blocks?.map((jsd, layer) => ({ layer, jsd: summary(jsd) })) ?? null,
    sample: null,
    seconds: { compress: 1, evaluate: 2 },
  };
}

export function madeStudy(cells: readonly CellResult[], definition: unknown = {}): StudyRecord {
  const models = [...new Set(cells.map(({ label }) => label.model))];
  return {
    schema: 1,
    name: "made-up",
    createdAt: "2026-01-01T00:00:00.000Z",
    definition,
    environment: madeEnvironment,
    models: models.map((name) => ({
      name,
      path: name,
      sha256: "2".repeat(64),
      family: "llama",
      parameters: 1_000_000,
      layers: 4,
    })),
    cells: cells.map(({ id, label }) => ({ id, label })),
  };
}

export interface Grid {
  readonly models?: readonly string[];
  readonly sparsities?: readonly number[];
  readonly calibrations?: readonly string[];
  readonly seeds?: readonly number[];
  readonly tasks?: readonly string[];
  readonly items?: number;
  readonly definition?: unknown;
}

/** How much the methods of a made-up study hurt. */
const HARM: Readonly<Record<string, number>> = { magnitude: 4, wanda: 1, sparsegpt: 0.8 };

/** A grid as a study's: three methods, harm that grows with sparsity, tasks that answer to it with chance. */
export function madeGrid(grid: Grid = {}): { study: StudyRecord; cells: CellResult[] } {
  const { models = ["tiny"], sparsities = [0.1, 0.3, 0.5], calibrations = ["c4", "alpaca"], seeds = [0] } = grid;
  const { tasks = ["squad", "piqa"], items = 200 } = grid;
  const { random } = createMersenneTwister(1);
  const labels = models.flatMap((model) =>
    Object.keys(HARM).flatMap((method) =>
      sparsities.flatMap((sparsity) =>
        (method === "magnitude" ? [null] : calibrations).flatMap((calibration) =>
          (calibration === null ? [null] : seeds).map((seed) =>
            madeLabel({ model, method, sparsity, calibration, seed }),
          ),
        ),
      ),
    ),
  );
  const base = Object.fromEntries(tasks.map((task) => [task, Array.from({ length: items }, () => +(random() < 0.6))]));
  const cells = labels.map((label, i) => {
    const jsd = HARM[label.method]! * (label.sparsity ?? 0) ** 3 * (0.9 + 0.2 * random());
    const loss = Math.min(0.9, jsd);
    return madeCell({
      id: i.toString(16).padStart(16, "0"),
      label,
      text: {
        wikitext2: {
          ratio: Math.exp(2 * jsd),
          jsd: [jsd, 0.05 * jsd],
          kl: [6 * jsd, 0.3 * jsd],
          sameTop1: [1 - Math.min(0.9, 2 * Math.sqrt(jsd)), 0.01],
          noise: [1e-5, 1e-6],
        },
      },
      tasks: Object.fromEntries(
        tasks.map((task) => {
          const scores = base[task]!;
          const compressed = scores.map((score) => (random() < loss ? 0 : score));
          const metric = madeMetric(scores, compressed);
          return [task, { exact_match: { ...metric, pHolm: Math.min(1, tasks.length * metric.p!) } }];
        }),
      ),
      blocks: [0.4, 0.1, 0.1, 0.2].map((share) => [share * jsd, 0.02 * jsd]),
    });
  });
  return { study: madeStudy(cells, grid.definition), cells };
}

const taskRecord: TaskRecord = {
  kind: "generate",
  version: 1,
  files: [],
  definition: { path: "task.yaml", sha256: "3".repeat(64) },
  items: 200,
  rows: 200,
  limit: null,
  fewShot: 0,
  seed: 0,
  chat: false,
  systemPrompt: null,
  bos: "none",
  truncated: 0,
  sampling: null,
  maxNewTokens: 32,
};

function summary([mean, standardError]: Pair): MeanSummary {
  return { mean, standardError };
}

function quantiles(pair: Pair): QuantileSummary {
  const [mean] = pair;
  return {
    ...summary(pair),
    median: mean,
    p90: mean,
    p99: mean,
    max: mean,
    meanBits: mean === null ? null : mean / Math.LN2,
  };
}
