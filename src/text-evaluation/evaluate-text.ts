import { sha256OfIds } from "../data/windows.js";
import type { Engine } from "../engine/engine.js";
import { type LossFigures, lossFigures, type PositionFigures, positionFigures } from "../metrics/distribution.js";
import { createFigureCrew, type FigureCrew } from "../metrics/figure-crew.js";
import {
  type DivergenceSummary,
  type LossSummary,
  type QuantileSummary,
  summariseDivergence,
  summariseLoss,
} from "../metrics/summary.js";
import type { Batch } from "../model/batches.js";
import type { Model } from "../model/model.js";
import {
  type Score,
  type ScoreLimits,
  type Stream,
  scoredPositions,
  scoreWindows,
  scoringSteps,
  windowBatches,
} from "../model/score.js";
import { countSteps, type OnProgress, type Stopwatch } from "../progress.js";
import { createMersenneTwister, type MersenneTwister } from "../random/mersenne.js";
import { writePerToken } from "../results/per-token.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import type { KeptFigures } from "./kept-figures.js";

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

/** At most so much of a number: half of the unit roundoff of bfloat16, which has 8 binary digits. */
const RELATIVE_NOISE = 2 ** -9;
/** Hexadecimal digits of a batch's hash that its noise is drawn by. */
const SEED_DIGITS = 12;

/** What models are run over. */
export interface TextRun {
  readonly engine: Engine;
  readonly windows: readonly Int32Array[];
  readonly options: TextOptions;
  readonly limits?: ScoreLimits | undefined;
  readonly watch: Stopwatch;
  /** Where figures are kept batch by batch, for a run that goes on where this one was stopped. */
  readonly kept?: KeptFigures | undefined;
}

/** One model's losses on windows. */
export async function measureModel(run: TextRun, model: Model): Promise<AloneSummary> {
  const figures = lossFigures(scoredPositions(run.windows));
  const { vocabularySize } = model.architecture;
  await score(run, [{ model }], [figures], (crew) => ([logits], targets, from) => {
    return crew.loss(logits!, vocabularySize, targets, figures, from);
  });
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
  base: Stream,
  model: Model,
  tokenizer: () => Promise<Tokenizer | undefined>,
): Promise<ComparedSummary> {
  const { windows, options } = run;
  const { vocabularySize } = model.architecture;
  const positions = scoredPositions(windows);
  const figures = positionFigures(positions);
  const noisy: PositionFigures | undefined = options.noiseFloor ? positionFigures(positions) : undefined;
  const streams = [base, { model }, ...(noisy ? [disturbed(base.model)] : [])];
  await score(
    run,
    streams,
    noisy ? [figures, noisy] : [figures],
    (crew) =>
      async ([logitsBase, logits, logitsNoisy], targets, from) => {
        await crew.compare(logitsBase!, logits!, vocabularySize, targets, figures, from);
        if (noisy) await crew.compare(logitsBase!, logitsNoisy!, vocabularySize, targets, noisy, from);
      },
  );
  const windowOf = windowOfPosition(windows);
  if (options.perToken) await writePerToken(options.perToken, figures, windows, await tokenizer());
  const summary = summariseDivergence(figures, windowOf);
  return noisy ? { ...summary, noiseFloor: noiseFloorOf(noisy, windowOf) } : summary;
}

/** What noise of known size does to the base, whatever it is compared with. */
export async function measureNoiseFloor(run: TextRun, base: Stream): Promise<NoiseFloor> {
  const figures = positionFigures(scoredPositions(run.windows));
  const { vocabularySize } = base.model.architecture;
  const streams = [base, disturbed(base.model)];
  await score(run, streams, [figures], (crew) => ([logits, noisy], targets, from) => {
    return crew.compare(logits!, noisy!, vocabularySize, targets, figures, from);
  });
  return noiseFloorOf(figures, windowOfPosition(run.windows));
}

function disturbed(model: Model): Stream {
  return { model, disturb: createNoise(RELATIVE_NOISE) };
}

function noiseFloorOf(figures: PositionFigures, windowOf: Int32Array): NoiseFloor {
  const { jsd, kl } = summariseDivergence(figures, windowOf);
  return { relativeNoise: RELATIVE_NOISE, jsd, kl };
}

/** Runs the streams over the windows. What an earlier run kept of the figures, batch by batch, is not computed again. */
async function score(
  { engine, windows, options, limits, watch, kept }: TextRun,
  streams: readonly Stream[],
  figures: readonly (LossFigures | PositionFigures)[],
  receiveBy: (crew: FigureCrew) => Score,
): Promise<void> {
  const { signal, onProgress = () => {} } = options;
  const onStep = countSteps(onProgress, "evaluate", scoringSteps(streams, windows));
  let next = 0;
  const pieces = windowBatches(windows).map((batch) => {
    const from = next;
    next += scoredPositions(batch);
    return { batch, from, to: next };
  });
  // Helpers take memory, for which no limit provides.
  const crew = createFigureCrew(limits ? 1 : engine.threads);
  try {
    const receive = receiveBy(crew);
    for (let i = 0; i < pieces.length; ) {
      const { batch, from, to } = pieces[i]!;
      if (kept?.take(batch, figures, from, to)) {
        onStep(scoringSteps(streams, batch));
        i++;
        continue;
      }
      // All that follows and is not known either.
      let end = i + 1;
      while (end < pieces.length && !kept?.has(pieces[end]!.batch)) end++;
      const waiting = pieces.slice(i, end);
      i = end;
      const missing = waiting.flatMap((piece) => piece.batch);
      const receiveMissing: Score = async (logits, targets, at) => {
        await receive(logits, targets, from + at);
        while (waiting[0] && waiting[0].to <= from + at + targets.length) {
          const done = waiting.shift()!;
          kept?.keep(done.batch, figures, done.from, done.to);
        }
      };
      await scoreWindows(streams, engine, missing, receiveMissing, { limits, watch, signal, onStep });
    }
  } finally {
    await crew.dispose();
  }
}

/** The window of every scored position, for standard errors clustered by window. */
export function windowOfPosition(windows: readonly Int32Array[]): Int32Array {
  return Int32Array.from(windows.flatMap((window, w) => new Array<number>(window.length - 1).fill(w)));
}

/**
 * Multiplies by 1 + relative · u, u uniform in [-1, 1): drawn for each batch by a seed made of its token ids, the same in every
 * run and whatever other batches there are.
 */
function createNoise(relative: number): (batch: Batch) => void {
  const generators = new WeakMap<Batch, MersenneTwister>();
  return (batch) => {
    const { ids, hidden } = batch;
    const generator =
      generators.get(batch) ?? createMersenneTwister(Number.parseInt(sha256OfIds([ids]).slice(0, SEED_DIGITS), 16));
    generators.set(batch, generator);
    for (let i = 0; i < hidden.length; i++) hidden[i]! *= 1 + relative * (2 * generator.random() - 1);
  };
}
