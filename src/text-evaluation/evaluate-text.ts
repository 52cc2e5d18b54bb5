import type { Engine } from "../engine/engine.js";
import {
  comparePositions,
  lossFigures,
  lossOfPositions,
  type PositionFigures,
  positionFigures,
} from "../metrics/distribution.js";
import {
  type DivergenceSummary,
  type LossSummary,
  type QuantileSummary,
  summariseDivergence,
  summariseLoss,
} from "../metrics/summary.js";
import type { Model } from "../model/model.js";
import { type Stream, scoredPositions, scoreWindows, scoringSteps } from "../model/score.js";
import { countSteps, type createStopwatch, type OnProgress } from "../progress.js";
import { createMersenneTwister } from "../random/mersenne.js";
import { writePerToken } from "../results/per-token.js";
import type { FloatArray } from "../tensor/matrix.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";

export interface TextOptions {
  /** Also compare the base with itself under relative noise of 2⁻⁹ on every block's output: less means nothing. */
  readonly noiseFloor?: boolean;
  /** File for every position's figures: .jsonl or .parquet. Needs a base. */
  readonly perToken?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

/** One model's figures, under the keys of a comparison. */
export interface AloneSummary {
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

/** Divergences, and what noise of known size does to the base. */
export type ComparedSummary = DivergenceSummary & { readonly noiseFloor?: NoiseFloor };

export interface NoiseFloor {
  readonly relativeNoise: number;
  readonly jsd: QuantileSummary;
  readonly kl: QuantileSummary;
}

/** The unit roundoff of bfloat16: what a whole model computed in it does to every number. */
const RELATIVE_NOISE = 2 ** -9;

/** What models are run over. */
export interface TextRun {
  readonly engine: Engine;
  readonly windows: readonly Int32Array[];
  readonly options: TextOptions;
  readonly watch: ReturnType<typeof createStopwatch>;
}

/** One model's losses on windows. */
export async function measureModel(run: TextRun, model: Model): Promise<AloneSummary> {
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

/** Base against model at every position of windows, in step; no logits are kept. */
export async function compareModels(
  run: TextRun,
  base: Model,
  model: Model,
  tokenizer: () => Promise<Tokenizer | undefined>,
): Promise<ComparedSummary> {
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
  return noisy ? { ...summary, noiseFloor: noiseFloorOf(noisy, windowOf) } : summary;
}

/** What noise of known size does to the base, whatever it is compared with. */
export async function measureNoiseFloor(run: TextRun, base: Model): Promise<NoiseFloor> {
  const figures = positionFigures(scoredPositions(run.windows));
  const { vocabularySize } = base.architecture;
  const streams: Stream[] = [{ model: base }, { model: base, disturb: createNoise(RELATIVE_NOISE) }];
  await score(run, streams, ([logits, noisy], targets, from) =>
    comparePositions(logits!, noisy!, vocabularySize, targets, figures, from),
  );
  return noiseFloorOf(figures, windowOfPosition(run.windows));
}

function noiseFloorOf(figures: PositionFigures, windowOf: Int32Array): NoiseFloor {
  const { jsd, kl } = summariseDivergence(figures, windowOf);
  return { relativeNoise: RELATIVE_NOISE, jsd, kl };
}

async function score(
  { engine, windows, options, watch }: TextRun,
  streams: readonly Stream[],
  receive: Parameters<typeof scoreWindows>[3],
): Promise<void> {
  const { signal, onProgress = () => {} } = options;
  const onStep = countSteps(onProgress, "evaluate", scoringSteps(streams, windows));
  await watch.time("evaluate", () => scoreWindows(streams, engine, windows, receive, { signal, onStep }));
}

/** The window of every scored position, for standard errors clustered by window. */
export function windowOfPosition(windows: readonly Int32Array[]): Int32Array {
  return Int32Array.from(windows.flatMap((window, w) => new Array<number>(window.length - 1).fill(w)));
}

/** Multiplies by 1 + relative · u, u uniform in [-1, 1); the same for every run. */
function createNoise(relative: number): (rows: FloatArray) => void {
  const { random } = createMersenneTwister(0);
  return (rows) => {
    for (let i = 0; i < rows.length; i++) rows[i]! *= 1 + relative * (2 * random() - 1);
  };
}
