import { z } from "zod";
import { InputError, RunError } from "../errors.js";
import { invertedUpperCholesky } from "../tensor/cholesky.js";
import type { Matrix } from "../tensor/matrix.js";
import { bitsOf, selectMagnitude } from "../tensor/select.js";
import { transposeInto } from "../tensor/transpose.js";
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
      const block = await correctedColumns(weight, dead, begin, end, errors, u, context);
      pruneBlock(block, diagonalBlock(u, begin, end), target);
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

/** Columns of the weight at work, [rows, width]; where mask is 1, pruneBlock leaves the error in place of the value. */
interface Block {
  readonly rows: number;
  readonly width: number;
  readonly values: Float64Array;
  readonly mask: Uint8Array;
}

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

/** Columns [begin, end) of the weight less what the errors of all columns before put on them. */
async function correctedColumns(
  weight: Matrix<Float32Array>,
  dead: Uint8Array,
  begin: number,
  end: number,
  errors: Float64Array,
  u: Matrix<Float64Array>,
  { multiply }: MethodContext,
): Promise<Block> {
  const { rows, columns } = weight;
  const width = end - begin;
  const values = new Float64Array(rows * width);
  if (begin > 0) {
    // -(U[:begin, begin:end]ᵀ · errorsᵀ)ᵀ
    const factor = new Float64Array(width * begin);
    transposeInto({ data: u.data, offset: begin, stride: columns }, begin, width, {
      data: factor,
      offset: 0,
      stride: begin,
    });
    const correction = await multiply(
      { rows: width, columns: begin, data: factor },
      { rows: begin, columns: rows, data: errors.subarray(0, begin * rows) },
    );
    transposeInto({ data: correction.data, offset: 0, stride: rows }, width, rows, {
      data: values,
      offset: 0,
      stride: width,
    });
  }
  for (let r = 0; r < rows; r++) {
    for (let j = 0; j < width; j++) {
      const stored = dead[begin + j] === 1 ? 0 : weight.data[r * columns + begin + j]!;
      values[r * width + j] = stored - values[r * width + j]!;
    }
  }
  return { rows, width, values, mask: new Uint8Array(rows * width) };
}

/** U[begin:end, begin:end]. */
function diagonalBlock(u: Matrix<Float64Array>, begin: number, end: number): Float64Array {
  const width = end - begin;
  const block = new Float64Array(width * width);
  for (let i = 0; i < width; i++) {
    block.set(u.data.subarray((begin + i) * u.columns + begin, (begin + i) * u.columns + end), i * width);
  }
  return block;
}

/** Chooses what goes and corrects each row for it from left to right; u [width, width]. */
function pruneBlock(block: Block, u: Float64Array, target: Target): void {
  const { rows, width, values, mask } = block;
  const squares = new Float64Array(width);
  for (let j = 0; j < width; j++) squares[j] = u[j * width + j]! ** 2;
  if (target.kind === "unstructured") {
    const scores = new Float32Array(rows * width);
    for (let r = 0, at = 0; r < rows; r++) {
      for (let j = 0; j < width; j++, at++) scores[at] = values[at]! ** 2 / squares[j]!;
    }
    const threshold = selectMagnitude(scores, Math.floor(scores.length * target.sparsity));
    for (let at = 0; at < scores.length; at++) mask[at] = scores[at]! <= threshold ? 1 : 0;
    correctRows(block, u, 1, undefined);
    return;
  }
  const { m } = target;
  const scores = new Float32Array(m);
  const bits = bitsOf(scores);
  const chosen = new Uint8Array(m);
  correctRows(block, u, m, (row, begin) => {
    for (let j = 0; j < m; j++) scores[j] = values[row + begin + j]! ** 2 / squares[begin + j]!;
    markGroups(bits, target, chosen);
    for (let j = 0; j < m; j++) mask[row + begin + j] = chosen[j]!;
  });
}

/**
 * Corrects each row for its pruned entries, `unit` columns after `unit` columns; `choose` sets a unit's mask from its
 * values as corrected so far. Kept weights have no error and rows do not touch one another, so only the pruned entries of
 * a row act, on that row. They act at once within their unit and four together on the rest: a quarter of the memory traffic.
 */
function correctRows(
  { rows, width, values, mask }: Block,
  u: Float64Array,
  unit: number,
  choose: ((row: number, begin: number) => void) | undefined,
): void {
  const pendingError = new Float64Array(unit + 3);
  const pendingRow = new Int32Array(unit + 3);
  for (let r = 0; r < rows; r++) {
    const row = r * width;
    let pending = 0;
    for (let begin = 0; begin < width; begin += unit) {
      const end = begin + unit;
      for (let p = 0; p < pending; p++) {
        const error = pendingError[p]!;
        const uRow = pendingRow[p]!;
        for (let j = begin; j < end; j++) values[row + j]! -= error * u[uRow + j]!;
      }
      choose?.(row, begin);
      for (let i = begin; i < end; i++) {
        if (mask[row + i] === 0) continue;
        const uRow = i * width;
        const error = values[row + i]! / u[uRow + i]!;
        values[row + i] = error;
        for (let j = i + 1; j < end; j++) values[row + j]! -= error * u[uRow + j]!;
        pendingError[pending] = error;
        pendingRow[pending++] = uRow;
      }
      for (; pending >= 4; pending -= 4) {
        const e0 = pendingError[pending - 1]!;
        const e1 = pendingError[pending - 2]!;
        const e2 = pendingError[pending - 3]!;
        const e3 = pendingError[pending - 4]!;
        const u0 = pendingRow[pending - 1]!;
        const u1 = pendingRow[pending - 2]!;
        const u2 = pendingRow[pending - 3]!;
        const u3 = pendingRow[pending - 4]!;
        for (let j = end; j < width; j++) {
          values[row + j]! -= e0 * u[u0 + j]! + e1 * u[u1 + j]! + (e2 * u[u2 + j]! + e3 * u[u3 + j]!);
        }
      }
    }
  }
}

/** Writes the block's kept weights to the result [rows, columns] and leaves the errors alone in the block. */
function takeResult({ rows, width, values, mask }: Block, result: Float32Array, columns: number, begin: number): void {
  for (let r = 0; r < rows; r++) {
    for (let j = 0; j < width; j++) {
      const at = r * width + j;
      if (mask[at] === 1) continue;
      result[r * columns + begin + j] = values[at]!;
      values[at] = 0;
    }
  }
}
