import type { FloatArray } from "../tensor/matrix.js";
import { fastestArithmetic } from "./kernel.js";
import { lossOf, TOP } from "./softmax.js";

/** Figures of one model's scored positions, a column each. */
export interface LossFigures {
  /** Negative log-probability of the true next token, nats. */
  readonly loss: Float64Array;
  /** 0 where a logit was NaN or infinite: the position's other figures are then undefined. */
  readonly finite: Uint8Array;
  /** The likeliest token; -1 where not finite. */
  readonly top1: Int32Array;
}

/** Figures of the base's next-token distribution P against the compressed model's Q, a column each, one row a position. */
export interface PositionFigures extends LossFigures {
  /** The base's loss, nats; `loss` is the compressed model's. */
  readonly lossBase: Float64Array;
  /** Jensen-Shannon divergence, nats, in [0, ln 2]. */
  readonly jsd: Float64Array;
  /** KL(base‖compressed), nats. */
  readonly kl: Float64Array;
  /** KL(compressed‖base), nats. */
  readonly klReverse: Float64Array;
  /** Half the sum of |p - q|, in [0, 1]. */
  readonly totalVariation: Float64Array;
  /** 1 where both models find the same token likeliest. */
  readonly sameTop1: Uint8Array;
  /** How many of the base's five likeliest tokens are among the compressed model's five, 0 to 5. */
  readonly top5Overlap: Uint8Array;
  /** The base's largest probability. */
  readonly topConfidence: Float64Array;
  /** Probability of the true next token. */
  readonly targetProbabilityBase: Float64Array;
  readonly targetProbability: Float64Array;
  /** The base's likeliest token; `top1` is the compressed model's. */
  readonly top1Base: Int32Array;
}

type Column = Float64Array | Int32Array | Uint8Array;

/** The columns by their names. */
export function columnsOf(
  figures: LossFigures | PositionFigures,
): readonly (readonly [name: string, column: Column])[] {
  return Object.entries(figures);
}

/** Columns for the given number of positions. */
export function lossFigures(positions: number): LossFigures {
  return { loss: new Float64Array(positions), finite: new Uint8Array(positions), top1: new Int32Array(positions) };
}

/** Columns for the given number of positions. */
export function positionFigures(positions: number): PositionFigures {
  return {
    ...lossFigures(positions),
    lossBase: new Float64Array(positions),
    jsd: new Float64Array(positions),
    kl: new Float64Array(positions),
    klReverse: new Float64Array(positions),
    totalVariation: new Float64Array(positions),
    sameTop1: new Uint8Array(positions),
    top5Overlap: new Uint8Array(positions),
    topConfidence: new Float64Array(positions),
    targetProbabilityBase: new Float64Array(positions),
    targetProbability: new Float64Array(positions),
    top1Base: new Int32Array(positions),
  };
}

/**
 * Compares both models' next-token distributions at every position: logits [positions, vocabulary] in, rows
 * [at, at + positions) of `out` written. All arithmetic is float64 whatever the logits' precision,
 * by the fastest implementation here unless another is given.
 * Throws RangeError when sizes do not fit or a target is outside the vocabulary.
 */
export function comparePositions(
  base: FloatArray,
  other: FloatArray,
  vocabulary: number,
  targets: Int32Array,
  out: PositionFigures,
  at: number,
  createArithmetic = fastestArithmetic,
): void {
  checkSizes(base, vocabulary, targets, out, at);
  checkSizes(other, vocabulary, targets, out, at);
  const arithmetic = createArithmetic(vocabulary);
  for (let position = 0; position < targets.length; position++) {
    const row = at + position;
    const begin = position * vocabulary;
    const p = arithmetic.softmax(0, base, begin);
    const q = p && arithmetic.softmax(1, other, begin);
    if (!p || !q) {
      markUndefined(out, row);
      continue;
    }
    const { jsd, kl, klReverse, totalVariation } = arithmetic.divergences(p, q);
    const target = targets[position]!;
    const lossBase = lossOf(p, target);
    const loss = lossOf(q, target);
    out.finite[row] = 1;
    out.lossBase[row] = lossBase;
    out.loss[row] = loss;
    out.jsd[row] = jsd;
    out.kl[row] = kl;
    out.klReverse[row] = klReverse;
    out.totalVariation[row] = totalVariation;
    out.top1Base[row] = p.top.ids[0]!;
    out.top1[row] = q.top.ids[0]!;
    out.sameTop1[row] = p.top.ids[0] === q.top.ids[0] ? 1 : 0;
    out.top5Overlap[row] = overlap(p.top.ids, q.top.ids);
    out.topConfidence[row] = 1 / p.sum;
    out.targetProbabilityBase[row] = Math.exp(-lossBase);
    out.targetProbability[row] = Math.exp(-loss);
  }
}

/**
 * The loss of every target under one model: logits [positions, vocabulary] in, rows [at, at + positions) of `out` written.
 * Throws RangeError when sizes do not fit or a target is outside the vocabulary.
 */
export function lossOfPositions(
  logits: FloatArray,
  vocabulary: number,
  targets: Int32Array,
  out: LossFigures,
  at: number,
  createArithmetic = fastestArithmetic,
): void {
  checkSizes(logits, vocabulary, targets, out, at);
  const arithmetic = createArithmetic(vocabulary);
  for (let position = 0; position < targets.length; position++) {
    const begin = position * vocabulary;
    const distribution = arithmetic.softmax(0, logits, begin);
    out.finite[at + position] = distribution ? 1 : 0;
    out.loss[at + position] = distribution ? lossOf(distribution, targets[position]!) : Number.NaN;
    out.top1[at + position] = distribution ? distribution.top.ids[0]! : -1;
  }
}

/** How many ids stand in both lists; -1 stands for none. */
function overlap(a: Int32Array, b: Int32Array): number {
  let count = 0;
  for (let i = 0; i < TOP; i++) if (a[i]! >= 0 && b.includes(a[i]!)) count++;
  return count;
}

function markUndefined(out: PositionFigures, row: number): void {
  out.lossBase[row] = Number.NaN;
  out.loss[row] = Number.NaN;
  out.jsd[row] = Number.NaN;
  out.kl[row] = Number.NaN;
  out.klReverse[row] = Number.NaN;
  out.totalVariation[row] = Number.NaN;
  out.topConfidence[row] = Number.NaN;
  out.targetProbabilityBase[row] = Number.NaN;
  out.targetProbability[row] = Number.NaN;
  out.finite[row] = 0;
  out.sameTop1[row] = 0;
  out.top5Overlap[row] = 0;
  out.top1Base[row] = -1;
  out.top1[row] = -1;
}

function checkSizes(logits: FloatArray, vocabulary: number, targets: Int32Array, out: LossFigures, at: number): void {
  if (logits.length !== targets.length * vocabulary)
    throw new RangeError(`${logits.length} logits are not ${targets.length} positions of ${vocabulary}`);
  if (at < 0 || at + targets.length > out.loss.length)
    throw new RangeError(`rows ${at} to ${at + targets.length} do not fit into ${out.loss.length}`);
  for (const target of targets)
    if (target < 0 || target >= vocabulary)
      throw new RangeError(`target ${target} is outside the vocabulary of ${vocabulary}`);
}
