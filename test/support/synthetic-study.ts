import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { SiteResult } from "../../src/results/compression-record.js";
import type { EnvironmentRecord } from "../../src/results/environment.js";
import type {
  BlockResult,
  CellLabel,
  CellResult,
  SampleWindow,
  StudyRecord,
  TextResult,
} from "../../src/results/study-results.js";
import type { ItemResult } from "../../src/task-evaluation/item-results.js";
import type { MetricSummary, TaskSummary } from "../../src/task-evaluation/summary.js";

/** Strings as a stranger's model, data or study may hold them. */
export const HOSTILE = [
  "<script>window.hacked = 1</script>",
  "</script><script>window.hacked = 2</script>",
  '<img src=x onerror="window.hacked = 3">',
  "<!-- <script>",
  "line\u2028and paragraph\u2029separators",
  "right \u202eto left\u202c, \u05e2\u05d1\u05e8\u05d9\u05ea",
  "control \u0000\u0007\u001b[31m\u009b characters",
  "$& $' {{x}} %s \ud800 lone surrogate",
];

export interface SyntheticOptions {
  readonly methods: readonly string[];
  readonly sparsities: readonly number[];
  readonly patterns: readonly string[];
  readonly calibrations: readonly string[];
  readonly seeds: readonly number[];
  readonly layers: number;
  /** Of each of the two tasks. */
  readonly items: number;
  readonly sampleTokens: number;
  /** Puts HOSTILE strings wherever a study's folder has text. */
  readonly hostile: boolean;
}

export const SMALL: SyntheticOptions = {
  methods: ["magnitude", "wanda", "sparsegpt"],
  sparsities: [0.2, 0.3, 0.4, 0.5, 0.6],
  patterns: ["2:4"],
  calibrations: ["c4", "alpaca"],
  seeds: [0],
  layers: 12,
  items: 60,
  sampleTokens: 160,
  hostile: false,
};

export interface SyntheticStudy {
  readonly record: StudyRecord;
  readonly cells: readonly CellResult[];
  readonly itemsOf: (cell: string) => Promise<readonly ItemResult[]>;
}

const ENVIRONMENT: EnvironmentRecord = {
  pare: "0.1.0",
  engine: "onnxruntime",
  engineVersion: "1.30.0",
  precision: "float32",
  node: "20.20.2",
  platform: "linux x64",
  processor: "Some Processor 9000",
  threads: 8,
};
const DATE = "2026-01-02T03:04:05.000Z";
const KINDS = [
  "self_attn.q_proj",
  "self_attn.k_proj",
  "self_attn.v_proj",
  "self_attn.o_proj",
  "mlp.gate_proj",
  "mlp.up_proj",
  "mlp.down_proj",
];
const WORDS =
  "the a river house walked slowly over old stone bridge and saw light in window where someone had left lamp burning all night long".split(
    " ",
  );
const METHOD_DAMAGE: Readonly<Record<string, number>> = { magnitude: 3, wanda: 1, sparsegpt: 0.85 };

/** A study that looks like a real one; the same options give the same study. Its figures mean nothing. */
export function syntheticStudy(options: SyntheticOptions): SyntheticStudy {
  const labels = labelsOf(options);
  const cells = labels.map((label, number) => cellOf(options, label, number));
  const record: StudyRecord = {
    schema: 1,
    name: options.hostile ? `Study ${HOSTILE.join(" ")}` : "SmolLM2-135M: three pruning methods",
    createdAt: DATE,
    definition: {
      models: ["SmolLM2-135M"],
      methods: options.methods,
      sparsities: options.sparsities,
      patterns: options.patterns,
      calibration: options.calibrations,
      data: ["wikitext2", "alpaca"],
      tasks: ["squad", "arc_easy"],
      budget: { jsd: 0.02 },
      ...(options.hostile ? { hostile: HOSTILE } : {}),
    },
    environment: ENVIRONMENT,
    models: [
      {
        name: "SmolLM2-135M",
        path: "models/SmolLM2-135M",
        sha256: hash(7),
        family: "llama",
        parameters: 134515008,
        layers: options.layers,
      },
    ],
    cells: cells.map(({ id, label }) => ({ id, label })),
  };
  return {
    record,
    cells,
    itemsOf: async (id) =>
      itemsOf(
        options,
        cells.findIndex((cell) => cell.id === id),
      ),
  };
}

/** Writes the study as `pare study` leaves it. */
export async function writeSyntheticStudy(directory: string, options: SyntheticOptions): Promise<void> {
  const { record, cells, itemsOf } = syntheticStudy(options);
  await mkdir(join(directory, "cells"), { recursive: true });
  await writeFile(join(directory, "study.json"), JSON.stringify(record));
  for (const cell of cells) {
    await writeFile(join(directory, "cells", `${cell.id}.json`), JSON.stringify(cell));
    const lines = (await itemsOf(cell.id)).map((item) => `${JSON.stringify(item)}\n`);
    await writeFile(join(directory, "cells", `${cell.id}.items.jsonl`), lines.join(""));
  }
}

function labelsOf({ methods, sparsities, patterns, calibrations, seeds }: SyntheticOptions): CellLabel[] {
  const targets = [
    ...sparsities.map((sparsity) => ({ sparsity, pattern: null })),
    ...patterns.map((pattern) => ({ sparsity: null, pattern })),
  ];
  return methods.flatMap((method) =>
    targets.flatMap((target) =>
      (method === "magnitude" ? [null] : calibrations).flatMap((calibration) =>
        (calibration === null ? [null] : seeds).map((seed) => ({
          model: "SmolLM2-135M",
          method,
          methodOptions: method === "sparsegpt" ? { blockSize: 128, damping: 0.01 } : {},
          ...target,
          calibration,
          seed,
        })),
      ),
    ),
  );
}

/** JSD in nats that a cell does on general text. */
function damage({ method, sparsity, seed }: CellLabel): number {
  const share = sparsity ?? 0.55;
  return Math.min(
    0.62,
    (METHOD_DAMAGE[method] ?? 1.2) * 0.9 * share ** 4.2 * (1 + 0.03 * Math.sin(7 * (seed ?? 0) + 1)),
  );
}

function cellOf(options: SyntheticOptions, label: CellLabel, number: number): CellResult {
  const base = damage(label);
  const general =
    base * (label.calibration === "alpaca" ? 1.12 + 0.04 * Math.sin(number) : 0.98 + 0.02 * Math.cos(number));
  const special = base * (label.calibration === "alpaca" ? 0.8 : 1.15);
  const share = label.sparsity ?? 0.5;
  const sites: Record<string, SiteResult> = {};
  for (let layer = 0; layer < options.layers; layer++) {
    for (const [k, kind] of KINDS.entries()) {
      const size = k < 4 ? 331776 : 884736;
      const tilt = label.method === "magnitude" ? 0.03 * Math.sin(layer + k) : 0;
      sites[`model.layers.${layer}.${kind}`] = { size, zeros: Math.round(size * (share + tilt)) };
    }
  }
  const blocks: BlockResult[] = Array.from({ length: options.layers }, (_, layer) => {
    const mean = (general / options.layers) * (0.5 + 2.2 * Math.exp(-layer / 2) + 0.5 * (layer / options.layers) ** 2);
    return { layer, jsd: { mean, standardError: mean * 0.06 } };
  });
  return {
    schema: 1,
    id: hash(number + 100).slice(0, 16),
    label,
    finishedAt: DATE,
    environment: ENVIRONMENT,
    compression: {
      sparsity: share,
      sites,
      calibration: label.calibration
        ? {
            source: label.calibration,
            split: "train",
            files: [{ path: `data/${label.calibration}.jsonl`, sha256: hash(label.calibration.length) }],
            sampling: {
              sampling: "default",
              seed: label.seed ?? 0,
              description: "windows at random places of random documents",
            },
            windows: 128,
            tokens: 262144,
            idsSha256: hash(label.calibration.length + 50 + (label.seed ?? 0)),
          }
        : null,
      sha256: hash(number + 500),
      bytes: 269060552,
    },
    text: { wikitext2: textOf("wikitext2", general), alpaca: textOf("alpaca", special) },
    tasks: { squad: taskOf(options, number, "squad", "f1"), arc_easy: taskOf(options, number, "arc_easy", "acc") },
    taskRecords: {
      squad: taskRecord("generate", options.items),
      arc_easy: taskRecord("choice", options.items),
    },
    blocks: number % 3 === 0 ? blocks : null,
    sample:
      options.sampleTokens > 0
        ? [sampleOf(options, "wikitext2", 0, general), sampleOf(options, "alpaca", 3, special)]
        : null,
    seconds: { compress: 60, evaluate: 30, tasks: 200 },
  };
}

function taskRecord(kind: "generate" | "choice", items: number): CellResult["taskRecords"][string] {
  return {
    kind,
    version: 1,
    files: [{ path: `data/${kind}.jsonl`, sha256: hash(kind.length) }],
    definition: { path: `tasks/${kind}.yaml`, sha256: hash(kind.length + 5) },
    items,
    rows: items,
    limit: null,
    fewShot: 2,
    seed: 0,
    chat: false,
    systemPrompt: null,
    bos: "tokenizer",
    truncated: 0,
    sampling: null,
    maxNewTokens: 32,
  };
}

function textOf(source: string, jsd: number): TextResult {
  const base = source === "alpaca" ? 9.8 : 23.24;
  const difference = 4.6 * jsd + 6 * jsd ** 2;
  const measured = (mean: number) => ({ mean, standardError: Math.abs(mean) * 0.03 });
  const quantiles = (mean: number) => ({
    ...measured(mean),
    median: mean * 0.6,
    p90: mean * 2.4,
    p99: mean * 4,
    max: Math.min(0.69, mean * 6),
    meanBits: mean / Math.LN2,
  });
  return {
    positions: 130944,
    perplexity: {
      base,
      compressed: base * Math.exp(difference),
      ratio: Math.exp(difference),
      baseStandardError: base * 0.02,
      compressedStandardError: base * 0.02 * Math.exp(difference),
      ratioStandardError: Math.exp(difference) * difference * 0.04,
    },
    loss: {
      base: Math.log(base),
      compressed: Math.log(base) + difference,
      difference,
      baseStandardError: 0.02,
      compressedStandardError: 0.02,
      differenceStandardError: difference * 0.04,
    },
    jsd: quantiles(jsd),
    kl: quantiles(jsd * 5),
    klReverse: quantiles(jsd * 6),
    sameTop1: { mean: Math.max(0.05, 1 - 1.7 * Math.sqrt(jsd)), standardError: 0.004 },
    top5Overlap: measured(Math.max(0.1, 1 - Math.sqrt(jsd))),
    deltaP: { mean: -jsd / 2, standardError: 0.002, rms: Math.sqrt(jsd) / 3 },
    totalVariation: measured(Math.sqrt(jsd) * 0.8),
    acceptance: measured(1 - Math.sqrt(jsd) * 0.8),
    lnPerplexityCorrelation: 1 - jsd,
    byConfidence: [],
    nonFinite: 0,
    data: {
      source,
      split: "test",
      files: [{ path: `data/${source}.parquet`, sha256: hash(source.length + 20) }],
      windows: 64,
      tokens: 131072,
      sequenceLength: 2048,
      idsSha256: hash(source.length + 30),
    },
    ...(source === "wikitext2"
      ? { noiseFloor: { relativeNoise: 2 ** -9, jsd: quantiles(0.0011), kl: quantiles(0.005) } }
      : {}),
  };
}

function itemsOf({ items, hostile }: SyntheticOptions, number: number): ItemResult[] {
  return ["squad", "arc_easy"].flatMap((task, t) =>
    Array.from({ length: items }, (_, index): ItemResult => {
      const odd = hostile ? ` ${HOSTILE[index % HOSTILE.length]}` : "";
      const shared = draws(1000 * t + index);
      const own = draws(100_000 * (number + 1) + 1000 * t + index);
      const words = (count: number, from = shared) =>
        Array.from({ length: count }, () => WORDS[Math.floor(from.random() * WORDS.length)]!).join(" ");
      const head = {
        id: `${task}-${index}`,
        task,
        index,
        promptSha256: hash(2000 * t + index),
        contexts: null,
        firstDivergentToken: null,
        truncated: 0,
        record: {},
      };
      const right = shared.random() < 0.7;
      const similarity = shared.random() / 2;
      const flipped = own.random() < 0.22;
      const rightNow = flipped ? !right : right;
      if (t === 1) {
        const choices = [words(3), words(3), words(3), words(3)];
        const gold = Math.floor(shared.random() * 4);
        const answer = (correct: boolean) => ({
          kind: "choice" as const,
          logLikelihoods: choices.map((_, c) => ((c === gold) === correct ? -4.5 : -9.25)),
          greedy: choices.map(() => false),
          chosen: correct ? gold : (gold + 1) % 4,
        });
        return {
          ...head,
          prompt: `Question: ${words(14)}?${odd}\nAnswer:`,
          references: [choices[gold]!],
          choices,
          gold,
          base: answer(right),
          compressed: answer(rightNow),
          scores: { acc: { base: right ? 1 : 0, compressed: rightNow ? 1 : 0 } },
        };
      }
      const prompt = `${words(90)}\n\nQuestion: ${words(12)}?${odd}\nAnswer:`;
      const target = words(3) + odd;
      const references = [target, words(2)];
      const generated = (text: string) => ({
        kind: "generate" as const,
        text,
        prediction: text,
        ids: [1, 2, 3],
        stop: "end" as const,
      });
      const baseText = right ? target : `${words(5)}${odd}`;
      const text = flipped ? `${words(2)} ${words(3, own)}${odd}` : baseText;
      return {
        ...head,
        prompt,
        references,
        choices: null,
        gold: null,
        base: generated(baseText),
        compressed: generated(text),
        scores: {
          f1: { base: right ? 1 : similarity, compressed: flipped ? (right ? similarity : 1) : right ? 1 : similarity },
          exact_match: { base: right ? 1 : 0, compressed: rightNow ? 1 : 0 },
        },
        firstDivergentToken: flipped ? 1 + Math.floor(own.random() * 4) : null,
      };
    }),
  );
}

function taskOf(options: SyntheticOptions, number: number, task: string, metric: string): TaskSummary {
  const label = labelsOf(options)[number]!;
  const base = task === "squad" ? 0.61 : 0.58;
  const loss = Math.min(
    base,
    1.1 * damage(label) * (label.calibration === "alpaca" ? 0.85 : 1) + (label.method === "wanda" ? 0.03 : 0.005),
  );
  const metricSummary = (scale: number): MetricSummary => {
    const compressed = Math.max(0, base * scale - loss);
    const wide = 0.8 / Math.sqrt(Math.max(1, options.items * 5));
    const p = Math.min(1, Math.exp(-((loss / wide) ** 2) * 1.5));
    return {
      items: options.items,
      base: base * scale,
      compressed,
      baseStandardError: wide,
      compressedStandardError: wide,
      baseInterval: [base * scale - 2 * wide, base * scale + 2 * wide],
      compressedInterval: [Math.max(0, compressed - 2 * wide), compressed + 2 * wide],
      difference: compressed - base * scale,
      interval: [compressed - base * scale - wide, compressed - base * scale + wide],
      p,
      pHolm: scale === 1 ? Math.min(1, 2 * p) : null,
      test: "permutation",
      recovery: compressed / (base * scale),
      flips: metric === "acc" || scale !== 1 ? { rightToWrong: 9, wrongToRight: 4 } : null,
    };
  };
  const jsd = damage(label) * 1.3;
  return {
    [metric]: metricSummary(1),
    ...(task === "squad" ? { exact_match: metricSummary(0.8) } : {}),
    targetText: {
      tokens: 4 * options.items,
      perplexity: { base: 6, compressed: 6 * Math.exp(3 * jsd), ratio: Math.exp(3 * jsd), ratioStandardError: 0.02 },
      jsd: { mean: jsd, standardError: jsd * 0.08, meanBits: jsd / Math.LN2 },
      kl: { mean: 5 * jsd, standardError: jsd * 0.4 },
      sameTop1: { mean: 0.8, standardError: 0.02 },
    },
  };
}

function sampleOf(
  { sampleTokens, hostile }: SyntheticOptions,
  source: string,
  window: number,
  jsd: number,
): SampleWindow {
  const random = draws(window + 5);
  const word = () => ` ${WORDS[Math.floor(random.random() * WORDS.length)]}`;
  return {
    source,
    window,
    tokens: Array.from({ length: sampleTokens }, (_, i) => {
      const top = random.random();
      const likely = (p: number) => Array.from({ length: 5 }, (_, k) => [word(), 0.6 * p * 0.4 ** k] as const);
      const odd = hostile && i > 0 && i <= HOSTILE.length ? HOSTILE[i - 1]! : undefined;
      return {
        text: odd ?? (i % 17 === 16 ? ".\n" : word()),
        jsd: i === 0 ? null : Math.min(0.69, jsd * -Math.log(1 - random.random())),
        base: likely(0.5 + 0.5 * top),
        compressed: likely(0.3 + 0.5 * top),
      };
    }),
  };
}

/** Numbers in [0, 1) by a linear congruential generator (Numerical Recipes): cheap, and the same everywhere. */
function draws(seed: number): { random(): number } {
  let state = Math.imul(seed + 1, 2654435761) >>> 0;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  for (let i = 0; i < 4; i++) random();
  return { random };
}

/** What looks like a SHA-256. */
function hash(seed: number): string {
  const random = draws(seed);
  return Array.from({ length: 64 }, () => Math.floor(random.random() * 16).toString(16)).join("");
}
