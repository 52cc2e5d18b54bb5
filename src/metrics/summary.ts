import type { LossFigures, PositionFigures } from "./distribution.js";
import { TOP } from "./softmax.js";
import {
  type Clusters,
  clusteredMean,
  clustersOf,
  exponential,
  type MeanSummary,
} from "./statistics/clustered-mean.js";
import { pearson } from "./statistics/correlation.js";
import { quantile } from "./statistics/interval.js";
import { mean } from "./statistics/mean.js";

/** A divergence over positions, nats (`meanBits`: bits). Quantiles interpolate linearly, as numpy's default does. */
export interface QuantileSummary extends MeanSummary {
  readonly median: number | null;
  readonly p90: number | null;
  readonly p99: number | null;
  readonly max: number | null;
  readonly meanBits: number | null;
}

/** Divergences of the positions where the base's largest probability is in [from, to); the last bin holds 1 too. */
interface ConfidenceBin {
  readonly from: number;
  readonly to: number;
  readonly positions: number;
  readonly jsd: number | null;
  readonly kl: number | null;
  readonly sameTop1: number | null;
}

/** One model's figures over all positions. */
export interface LossSummary {
  /** Positions scored, with those left out for a logit that was not finite. */
  readonly positions: number;
  /** exp of the mean loss; its standard error by the delta method. */
  readonly perplexity: { readonly value: number | null; readonly standardError: number | null };
  /** Mean negative log-probability of the true next token, nats. */
  readonly loss: MeanSummary;
  /** Share of the positions that were left out of every mean. */
  readonly nonFinite: number | null;
}

/** Base against compressed over all positions; the keys are the report's. */
export interface DivergenceSummary {
  /** Positions compared, with those left out for a logit that was not finite. */
  readonly positions: number;
  /** exp of the mean losses and their ratio compressed / base; standard errors by the delta method, the ratio's paired. */
  readonly perplexity: {
    readonly base: number | null;
    readonly compressed: number | null;
    readonly ratio: number | null;
    readonly baseStandardError: number | null;
    readonly compressedStandardError: number | null;
    readonly ratioStandardError: number | null;
  };
  /** Mean losses, nats, and their paired difference compressed - base. */
  readonly loss: {
    readonly base: number | null;
    readonly compressed: number | null;
    readonly difference: number | null;
    readonly baseStandardError: number | null;
    readonly compressedStandardError: number | null;
    readonly differenceStandardError: number | null;
  };
  readonly jsd: QuantileSummary;
  readonly kl: QuantileSummary;
  readonly klReverse: QuantileSummary;
  readonly sameTop1: MeanSummary;
  /** Share of the base's five likeliest tokens that are among the compressed model's, 0 to 1. */
  readonly top5Overlap: MeanSummary;
  /** Probability of the true token, compressed - base. */
  readonly deltaP: MeanSummary & { readonly rms: number | null };
  readonly totalVariation: MeanSummary;
  /** 1 - total variation: how often speculative decoding would keep the compressed model's token. */
  readonly acceptance: MeanSummary;
  /** Pearson correlation of both models' losses over positions. */
  readonly lnPerplexityCorrelation: number | null;
  readonly byConfidence: readonly ConfidenceBin[];
  /** Share of the positions that were left out of every mean. */
  readonly nonFinite: number | null;
}

const CONFIDENCE_EDGES = [0, 0.25, 0.5, 0.75, 0.95, 1] as const;

/**
 * Sums up base against compressed. `windows` names the window of every position: neighbouring tokens are not independent,
 * windows are taken to be. Throws RangeError when its length is not the figures'.
 */
export function summariseDivergence(figures: PositionFigures, windows: Int32Array): DivergenceSummary {
  const sample = finitePositions(figures, windows);
  const of = (value: (position: number) => number): Float64Array => Float64Array.from(sample.positions, value);
  const base = of((i) => figures.lossBase[i]!);
  const compressed = of((i) => figures.loss[i]!);
  const lossBase = clusteredMean(base, sample.clusters);
  const loss = clusteredMean(compressed, sample.clusters);
  const difference = clusteredMean(
    of((i) => figures.loss[i]! - figures.lossBase[i]!),
    sample.clusters,
  );
  const perplexityBase = exponential(lossBase);
  const perplexity = exponential(loss);
  const ratio = exponential(difference);
  const deltaP = of((i) => figures.targetProbability[i]! - figures.targetProbabilityBase[i]!);
  const totalVariation = of((i) => figures.totalVariation[i]!);
  const meanSquare = mean(deltaP.map((value) => value * value));
  return {
    positions: figures.finite.length,
    perplexity: {
      base: perplexityBase.value,
      compressed: perplexity.value,
      ratio: ratio.value,
      baseStandardError: perplexityBase.standardError,
      compressedStandardError: perplexity.standardError,
      ratioStandardError: ratio.standardError,
    },
    loss: {
      base: lossBase.mean,
      compressed: loss.mean,
      difference: difference.mean,
      baseStandardError: lossBase.standardError,
      compressedStandardError: loss.standardError,
      differenceStandardError: difference.standardError,
    },
    jsd: quantileSummary(
      of((i) => figures.jsd[i]!),
      sample.clusters,
    ),
    kl: quantileSummary(
      of((i) => figures.kl[i]!),
      sample.clusters,
    ),
    klReverse: quantileSummary(
      of((i) => figures.klReverse[i]!),
      sample.clusters,
    ),
    sameTop1: clusteredMean(
      of((i) => figures.sameTop1[i]!),
      sample.clusters,
    ),
    top5Overlap: clusteredMean(
      of((i) => figures.top5Overlap[i]! / TOP),
      sample.clusters,
    ),
    deltaP: { ...clusteredMean(deltaP, sample.clusters), rms: meanSquare === null ? null : Math.sqrt(meanSquare) },
    totalVariation: clusteredMean(totalVariation, sample.clusters),
    acceptance: clusteredMean(
      totalVariation.map((value) => 1 - value),
      sample.clusters,
    ),
    lnPerplexityCorrelation: pearson(base, compressed),
    byConfidence: byConfidence(figures, sample.positions),
    nonFinite: shareLeftOut(figures, sample),
  };
}

/** Sums up one model's losses; `windows` as for summariseDivergence. */
export function summariseLoss(figures: LossFigures, windows: Int32Array): LossSummary {
  const sample = finitePositions(figures, windows);
  const loss = clusteredMean(
    Float64Array.from(sample.positions, (i) => figures.loss[i]!),
    sample.clusters,
  );
  return {
    positions: figures.finite.length,
    perplexity: exponential(loss),
    loss,
    nonFinite: shareLeftOut(figures, sample),
  };
}

/** The positions that count, and the window of each. */
interface Sample {
  readonly positions: Int32Array;
  readonly clusters: Clusters;
}

function finitePositions(figures: LossFigures, windows: Int32Array): Sample {
  if (windows.length !== figures.finite.length)
    throw new RangeError(`${windows.length} window numbers for ${figures.finite.length} positions`);
  const positions = Int32Array.from(figures.finite.keys()).filter((i) => figures.finite[i] === 1);
  return { positions, clusters: clustersOf(positions.map((i) => windows[i]!)) };
}

function shareLeftOut(figures: LossFigures, sample: Sample): number | null {
  const all = figures.finite.length;
  return all === 0 ? null : (all - sample.positions.length) / all;
}

function quantileSummary(values: Float64Array, clusters: Clusters): QuantileSummary {
  const summary = clusteredMean(values, clusters);
  const sorted = values.toSorted();
  return {
    ...summary,
    median: quantile(sorted, 0.5),
    p90: quantile(sorted, 0.9),
    p99: quantile(sorted, 0.99),
    max: sorted.at(-1) ?? null,
    meanBits: summary.mean === null ? null : summary.mean / Math.LN2,
  };
}

function byConfidence(figures: PositionFigures, positions: Int32Array): ConfidenceBin[] {
  return CONFIDENCE_EDGES.slice(0, -1).map((from, bin) => {
    const to = CONFIDENCE_EDGES[bin + 1]!;
    const inside = positions.filter((i) => {
      const confidence = figures.topConfidence[i]!;
      return confidence >= from && (confidence < to || to === 1);
    });
    const meanOf = (column: Float64Array | Uint8Array) => mean(Float64Array.from(inside, (i) => column[i]!));
    return {
      from,
      to,
      positions: inside.length,
      jsd: meanOf(figures.jsd),
      kl: meanOf(figures.kl),
      sameTop1: meanOf(figures.sameTop1),
    };
  });
}
