import { z } from "zod";
import { InputError, RunError } from "../errors.js";
import { invertedUpperCholesky } from "../tensor/cholesky.js";
import type { Matrix } from "../tensor/matrix.js";
import { bitsOf, selectMagnitude } from "../tensor/select.js";
import { transposeInto } from "../tensor/transpose.js";
import { fastestColumns, type WorkingColumns } from "./columns.js";
import type { Method, MethodContext, Statistics, Target } from "./method.js";
import { markGroups } from "./pattern.js";
import { checkTarget } from "./target.js";

/** Beyond this multiple of its mean diagonal the Hessian says nothing any more; giving up is then more honest. */
const MAX_DAMPING = 100;

const options = z.strictObject({
  /** Added to the Hessian's diagonal, as a share of its mean. */
  damping: z.number().positive().max(MAX_DAMPING).default(0.01),
  /** Columns that share one threshold. */
  blockSize: z.int().positive().default(128),
});

/**
 * SparseGPT, Frantar and Alistarh 2023, arXiv 2301.00774, algorithm 1: weights go column by column, and what each one's
 * loss does to the output is made good by the columns to its right, through U, the upper Cholesky factor of the inverse
 * of H = (2/windows) Σ x xᵀ. Inputs that were always 0 lose their weights. Every block of `blockSize` columns has one
 * threshold: the value at sorted index ⌊size·sparsity⌋ of its scores W_ij²/U_jj², and all that do not exceed it go (so
 * at least one more than asked for); sparsity 0 changes nothing. With n:m the n lowest of every m columns, of the weights
 * as corrected so far, equals as markGroups has them; blocks then are the next multiple of m columns.
 *
 * Computed in float64, with scores rounded to float32 as the authors' code has them. Throws RunError when the Hessian is
 * not positive definite even with the largest damping.
 */
export const sparsegpt: Method<z.infer<typeof options>> = {
  name: "sparsegpt",
  summary: "column by column, the rest of each row corrected for what went",
  source: "Frantar and Alistarh 2023, arXiv 2301.00774",
  version: 1,
  needs: "gram",
  options,
  async compress(weight, statistics, target, { damping, blockSize }, context) {
    checkTarget(target, weight.columns, "the weight");
    checkGram(statistics, weight.columns);
    const { rows, columns } = weight;
    if (target.kind === "unstructured" && target.sparsity === 0) return { rows, columns, data: weight.data.slice() };
    const { gram, windows } = statistics;
    const u = await context.shared(statistics, () => inverseFactor(gram, windows, damping, context));
    const dead = deadInputs(statistics.gram);
    const result = new Float32Array(rows * columns);
    // Errors of the columns done, transposed: [columns, rows], so that those of the first `begin` are one piece of memory.
    const errors = new Float64Array(rows * columns);
    const size = target.kind === "n:m" ? Math.ceil(blockSize / target.m) * target.m : blockSize;
    for (let begin = 0; begin < columns; begin += size) {
      const end = Math.min(begin + size, columns);
      const correction = await errorsBefore(begin, end, errors, rows, u, context);
      const block = fastestColumns(rows, end - begin);
      takeBlock(weight, dead, begin, correction, block);
      takeDiagonal(u, begin, block);
      pruneBlock(block, target);
      takeResult(block, result, columns, begin);
      transposeInto({ data: block.values, offset: 0, stride: end - begin }, rows, end - begin, {
        data: errors,
        offset: begin * rows,
        stride: rows,
      });
    }
    return { rows, columns, data: result };
  },
};

function checkGram(
  statistics: Statistics,
  inputs: number,
): asserts statistics is Statistics & { gram: Matrix<Float64Array> } {
  const { gram, windows } = statistics;
  if (gram?.rows !== inputs || gram.columns !== inputs || !(windows > 0)) {
    throw new InputError(
      `sparsegpt needs the Gram matrix of the weight's ${inputs} inputs over at least one window, and was given ` +
        `${gram ? `one of ${gram.rows} by ${gram.columns}` : "none"} over ${windows} windows: calibrate first`,
    );
  }
  for (let j = 0; j < inputs; j++) {
    if (!Number.isFinite(gram.data[j * inputs + j]!)) {
      throw new RunError(`the calibration inputs overflow at input ${j}: no Hessian can be made`);
    }
  }
}

/** 1 for every input that was 0 in every token. */
function deadInputs(gram: Matrix<Float64Array>): Uint8Array {
  const dead = new Uint8Array(gram.rows);
  for (let j = 0; j < gram.rows; j++) if (gram.data[j * gram.columns + j] === 0) dead[j] = 1;
  return dead;
}

/** U [in, in] of the damped Hessian; the damping grows tenfold until the Hessian is positive definite. */
async function inverseFactor(
  gram: Matrix<Float64Array>,
  windows: number,
  damping: number,
  { multiply, warn }: MethodContext,
): Promise<Matrix<Float64Array>> {
  const h = { rows: gram.rows, columns: gram.columns, data: new Float64Array(gram.data.length) };
  for (let share = damping; ; share *= 10) {
    fillHessian(h, gram, windows, share);
    const outcome = await invertedUpperCholesky(h, multiply);
    if (outcome.positiveDefinite) return h;
    if (share * 10 > MAX_DAMPING) {
      throw new RunError(
        `the Hessian is not positive definite (row ${outcome.pivot}) with damping up to ${share} of its mean diagonal: ` +
          "calibrate with more or other data, or leave this out with --skip",
      );
    }
    warn(`the Hessian is not positive definite with damping ${share}: trying ${share * 10}`);
  }
}

function fillHessian(h: Matrix<Float64Array>, gram: Matrix<Float64Array>, windows: number, damping: number): void {
  const n = h.rows;
  const factor = 2 / windows;
  for (let i = 0; i < h.data.length; i++) h.data[i] = factor * gram.data[i]!;
  let trace = 0;
  for (let j = 0; j < n; j++) {
    const at = j * n + j;
    if (h.data[at] === 0) h.data[at] = 1;
    trace += h.data[at]!;
  }
  for (let j = 0; j < n; j++) h.data[j * n + j]! += (damping * trace) / n;
}

/** What the errors of all columns before `begin` put on columns [begin, end), [end - begin, rows]. */
async function errorsBefore(
  begin: number,
  end: number,
  errors: Float64Array,
  rows: number,
  u: Matrix<Float64Array>,
  { multiply }: MethodContext,
): Promise<Matrix<Float64Array> | undefined> {
  if (begin === 0) return undefined;
  const width = end - begin;
  const factor = new Float64Array(width * begin); // U[:begin, begin:end]ᵀ
  transposeInto({ data: u.data, offset: begin, stride: u.columns }, begin, width, {
    data: factor,
    offset: 0,
    stride: begin,
  });
  return multiply(
    { rows: width, columns: begin, data: factor },
    { rows: begin, columns: rows, data: errors.subarray(0, begin * rows) },
  );
}

/** Takes the columns from `begin` on of the weight, less their correction, to the block. */
function takeBlock(
  weight: Matrix<Float32Array>,
  dead: Uint8Array,
  begin: number,
  correction: Matrix<Float64Array> | undefined,
  { rows, width, values }: WorkingColumns,
): void {
  if (correction) {
    const target = { data: values, offset: 0, stride: width };
    transposeInto({ data: correction.data, offset: 0, stride: rows }, width, rows, target);
  }
  for (let r = 0; r < rows; r++) {
    const from = r * weight.columns + begin;
    const to = r * width;
    for (let j = 0; j < width; j++) {
      const stored = dead[begin + j] === 1 ? 0 : weight.data[from + j]!;
      values[to + j] = stored - values[to + j]!;
    }
  }
}

/** Takes the square of U that begins on its diagonal at `begin` to the block. */
function takeDiagonal(u: Matrix<Float64Array>, begin: number, block: WorkingColumns): void {
  for (let i = 0; i < block.width; i++) {
    const from = (begin + i) * u.columns + begin;
    block.u.set(u.data.subarray(from, from + block.width), i * block.width);
  }
}

/** Chooses what goes and corrects each row for it from left to right. */
function pruneBlock(block: WorkingColumns, target: Target): void {
  const { rows, width, values, mask, u } = block;
  const squares = new Float64Array(width);
  for (let j = 0; j < width; j++) squares[j] = u[j * width + j]! ** 2;
  if (target.kind === "unstructured") {
    const scores = new Float32Array(rows * width);
    for (let r = 0, at = 0; r < rows; r++) {
      for (let j = 0; j < width; j++, at++) scores[at] = values[at]! ** 2 / squares[j]!;
    }
    const threshold = selectMagnitude(scores, Math.floor(scores.length * target.sparsity));
    // Scores are not negative, so that their bits order as they do; no branch for what half the time is the other way.
    const bits = bitsOf(scores);
    const above = bitsOf(Float32Array.of(threshold))[0]! + 1;
    for (let at = 0; at < bits.length; at++) mask[at] = (bits[at]! - above) >>> 31;
    block.correctRows(0, width);
    return;
  }
  // Every m columns are chosen when those before have acted on them.
  const { m } = target;
  const scores = new Float32Array(rows * m);
  const chosen = new Uint8Array(rows * m);
  for (let begin = 0; begin < width; begin += m) {
    for (let r = 0; r < rows; r++) {
      for (let j = 0; j < m; j++) scores[r * m + j] = values[r * width + begin + j]! ** 2 / squares[begin + j]!;
    }
    markGroups(bitsOf(scores), target, chosen);
    for (let r = 0; r < rows; r++) {
      for (let j = 0; j < m; j++) mask[r * width + begin + j] = chosen[r * m + j]!;
    }
    block.correctRows(begin, begin + m);
  }
}

/** Writes the block's kept weights to the result [rows, columns] and leaves the errors alone in the block. */
function takeResult(
  { rows, width, values, mask }: WorkingColumns,
  result: Float32Array,
  columns: number,
  begin: number,
): void {
  for (let r = 0; r < rows; r++) {
    for (let j = 0; j < width; j++) {
      const at = r * width + j;
      // By products, not by branches, which would be mispredicted half the time. + 0 makes a -0 that goes a 0.
      const goes = mask[at]!;
      const value = values[at]!;
      result[r * columns + begin + j] = value * (1 - goes) + 0;
      values[at] = value * goes;
    }
  }
}
