import { createMersenneTwister } from "./random/mersenne.js";
import type { Checkpoint } from "./checkpoint/checkpoint.js";
import { openCheckpoint } from "./checkpoint/open.js";
import type { Engine } from "./engine/engine.js";
import { createEngine } from "./engine/registry.js";
import { InputError } from "./errors.js";
import { type EvaluationDataOptions, type EvaluationRecord, evaluationData } from "./evaluation-data.js";
import {
  comparePositions,
  lossFigures,
  lossOfPositions,
  type PositionFigures,
  positionFigures,
} from "./metrics/distribution.js";
import {
  type DivergenceSummary,
  type LossSummary,
  type QuantileSummary,
  summariseDivergence,
  summariseLoss,
} from "./metrics/summary.js";
import { type Model, openModel } from "./model/model.js";
import { type Stream, scoredPositions, scoreWindows, scoringSteps } from "./model/score.js";
import { createStopwatch, type OnProgress } from "./progress.js";
import { type EnvironmentRecord, environmentRecord } from "./results/environment.js";
import { checkPerTokenFile, writePerToken } from "./results/per-token.js";
import type { FloatArray } from "./tensor/matrix.js";
import { loadTokenizer } from "./tokenizer/tokenizer.js";

export interface EvaluateOptions extends EvaluationDataOptions {
  /** Folder of the model to measure. */
  readonly model: string;
  /** Folder of the model to compare it with. */
  readonly base?: string;
  /** Also compare the base with itself under relative noise of 2⁻⁹ on every block's output: less means nothing. */
  readonly noiseFloor?: boolean;
  /** File for every position's figures: .jsonl or .parquet. Needs a base. */
  readonly perToken?: string;
  readonly engine?: string;
  readonly threads?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

/** One model's figures, under the keys of a comparison. */
interface AloneSummary {
  readonly positions: number;
  readonly perplexity: {
    readonly base: null;
    readonly compressed: number | null;
    readonly ratio: null;
    readonly compressedStandardError: number | null;
  };
  readonly loss: {
    readonly base: null;
    readonly compressed: number | null;
    readonly compressedStandardError: number | null;
  };
  readonly nonFinite: number | null;
}

/** The figures, and what they were measured on. Divergences are there when a base was given. */
export type EvaluateResult = (AloneSummary | DivergenceSummary) & {
  readonly model: ModelRecord;
  readonly base: ModelRecord | null;
  readonly data: EvaluationRecord;
  readonly environment: EnvironmentRecord;
  readonly noiseFloor?: { readonly relativeNoise: number; readonly jsd: QuantileSummary; readonly kl: QuantileSummary };
  readonly seconds: Readonly<Record<string, number>>;
};

interface ModelRecord {
  readonly path: string;
  /** SHA-256 over config.json and the weights' files. */
  readonly sha256: string;
}

/** The unit roundoff of bfloat16: what a whole model computed in it does to every number. */
const RELATIVE_NOISE = 2 ** -9;

/**
 * Measures a model on text, alone or position by position against its base; both run in step and no logits are kept.
 * Throws InputError, RunError, AbortError.
 */
export async function evaluate(options: EvaluateOptions): Promise<EvaluateResult> {
  const { signal } = options;
  const opened: Checkpoint[] = [];
  const open = async (path: string): Promise<Model> => {
    const checkpoint = await openCheckpoint(path);
    opened.push(checkpoint);
    return openModel(checkpoint);
  };
  const engine = createEngine(options.engine, options);
  try {
    const model = await open(options.model);
    const base = options.base === undefined ? undefined : await open(options.base);
    if (base) checkComparable(base, model);
    if (!base && (options.perToken || options.noiseFloor)) {
      throw new InputError(
        `${options.perToken ? "--per-token" : "--noise-floor"} compares with a base: add --base MODEL`,
      );
    }
    if (options.perToken) checkPerTokenFile(options.perToken);
    let tokenizer: ReturnType<typeof loadTokenizer> | undefined; // loaded for text and per-token output only, and once
    const loading = () => {
      tokenizer ??= loadTokenizer((base ?? model).checkpoint.directory);
      return tokenizer;
    };
    const { windows, record } = await evaluationData(options, loading, model.architecture, signal);
    const watch = createStopwatch();
    const run: Run = { engine, windows, options, watch };
    const figures = base ? await compareModels(run, base, model, loading) : await measureModel(run, model);
    const recordOf = async ({ checkpoint }: Model) => ({
      path: checkpoint.directory,
      sha256: await checkpoint.hash(signal),
    });
    return {
      ...figures,
      model: await recordOf(model),
      base: base ? await recordOf(base) : null,
      data: record,
      environment: environmentRecord(engine),
      seconds: watch.seconds,
    };
  } finally {
    await engine.dispose();
    for (const checkpoint of opened) await checkpoint.close();
  }
}

interface Run {
  readonly engine: Engine;
  readonly windows: readonly Int32Array[];
  readonly options: EvaluateOptions;
  readonly watch: ReturnType<typeof createStopwatch>;
}

async function measureModel(run: Run, model: Model): Promise<AloneSummary> {
  const figures = lossFigures(scoredPositions(run.windows));
  const { vocabularySize } = model.architecture;
  await score(run, [{ model }], ([logits], targets, from) =>
    lossOfPositions(logits!, vocabularySize, targets, figures, from),
  );
  const { positions, perplexity, loss, nonFinite }: LossSummary = summariseLoss(figures, windowOfPosition(run.windows));
  return {
    positions,
    perplexity: {
      base: null,
      compressed: perplexity.value,
      ratio: null,
      compressedStandardError: perplexity.standardError,
    },
    loss: { base: null, compressed: loss.mean, compressedStandardError: loss.standardError },
    nonFinite,
  };
}

async function compareModels(run: Run, base: Model, model: Model, tokenizer: () => ReturnType<typeof loadTokenizer>) {
  const { windows, options } = run;
  const { vocabularySize } = model.architecture;
  const positions = scoredPositions(windows);
  const figures = positionFigures(positions);
  const noisy: PositionFigures | undefined = options.noiseFloor ? positionFigures(positions) : undefined;
  const streams: Stream[] = [{ model: base }, { model }];
  if (noisy) streams.push({ model: base, disturb: createNoise(RELATIVE_NOISE) });
  await score(run, streams, ([logitsBase, logits, logitsNoisy], targets, from) => {
    comparePositions(logitsBase!, logits!, vocabularySize, targets, figures, from);
    if (noisy) comparePositions(logitsBase!, logitsNoisy!, vocabularySize, targets, noisy, from);
  });
  const windowOf = windowOfPosition(windows);
  if (options.perToken) await writePerToken(options.perToken, figures, windows, await tokenizer());
  const summary = summariseDivergence(figures, windowOf);
  if (!noisy) return summary;
  const { jsd, kl } = summariseDivergence(noisy, windowOf);
  return { ...summary, noiseFloor: { relativeNoise: RELATIVE_NOISE, jsd, kl } };
}

async function score(
  { engine, windows, options, watch }: Run,
  streams: readonly Stream[],
  receive: Parameters<typeof scoreWindows>[3],
): Promise<void> {
  const { signal, onProgress = () => {} } = options;
  let done = 0;
  onProgress({ kind: "start", what: "evaluate", total: scoringSteps(streams, windows) });
  const onStep = (steps: number) => {
    done += steps;
    onProgress({ kind: "step", done });
  };
  await watch.time("evaluate", () => scoreWindows(streams, engine, windows, receive, { signal, onStep }));
}

/** Two models can be compared token by token only if they mean the same tokens. */
function checkComparable(base: Model, model: Model): void {
  const sizes = [base, model].map(({ architecture }) => architecture.vocabularySize);
  if (sizes[0] !== sizes[1]) {
    throw new InputError(
      `${model.checkpoint.directory} has a vocabulary of ${sizes[1]}, its base ${base.checkpoint.directory} one of ` +
        `${sizes[0]}: next-token distributions can be compared over one vocabulary only`,
    );
  }
}

/** The window of every scored position, for standard errors clustered by window. */
function windowOfPosition(windows: readonly Int32Array[]): Int32Array {
  return Int32Array.from(windows.flatMap((window, w) => new Array<number>(window.length - 1).fill(w)));
}

/** Multiplies by 1 + relative · u, u uniform in [-1, 1); the same for every run. */
function createNoise(relative: number): (rows: FloatArray) => void {
  const { random } = createMersenneTwister(0);
  return (rows) => {
    for (let i = 0; i < rows.length; i++) rows[i]! *= 1 + relative * (2 * random() - 1);
  };
}
