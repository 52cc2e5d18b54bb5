import { bandsOf } from "./bands.js";
import { dot } from "./dot.js";
import type { Matrix, Multiply } from "./matrix.js";
import { transposeInto, type View } from "./transpose.js";

/** Up to this size plain loops beat the calls and copies that a product by the engine costs. */
const PLAIN = 96;

type Dense = Matrix<Float64Array>;

/** What became of a factorization; `pivot` is the row whose pivot was not a positive number. */
export type Factorization =
  | { readonly positiveDefinite: true }
  | { readonly positiveDefinite: false; readonly pivot: number };

/**
 * Replaces H [n, n], symmetric, by U: the upper triangular matrix of positive diagonal with H⁻¹ = UᵀU, which is what
 * `torch.linalg.cholesky(torch.linalg.inv(H), upper=True)` gives; the lower triangle becomes 0.
 *
 * H⁻¹ is never formed: H = R Rᵀ with R upper triangular (Cholesky from the last row up), and U = R⁻¹. With H in quarters
 *
 *     H = [[H11, H12], [H21, H22]]:   U22 = U(H22),  R12 = H12 U22ᵀ,  U11 = U(H11 - R12 R12ᵀ),  U12 = -U11 R12 U22
 *
 * which goes down to small blocks in plain loops and leaves all else to `multiply`. Beside H it needs at most another
 * n² numbers at a time. A matrix that is not positive definite (or holds NaN) is reported; its values are then undefined.
 */
export async function invertedUpperCholesky(h: Matrix<Float64Array>, multiply: Multiply): Promise<Factorization> {
  const failed = await factorize(h, 0, h.rows, multiply);
  return failed === undefined ? { positiveDefinite: true } : { positiveDefinite: false, pivot: failed };
}

/** The block [begin, end) of the diagonal in place; the row of the pivot that failed, if one did. */
async function factorize(
  h: Matrix<Float64Array>,
  begin: number,
  end: number,
  multiply: Multiply,
): Promise<number | undefined> {
  if (end - begin <= PLAIN) return factorizePlain(h.data, h.columns, begin, end);
  const middle = (begin + end) >>> 1;
  const failed = await factorize(h, middle, end, multiply);
  if (failed !== undefined) return failed;
  {
    const u22 = copyOf(h, middle, end, middle, end);
    const r12t = await upperTimes(u22, copyOf(h, middle, end, begin, middle), multiply); // R12ᵀ = U22 H21
    const r12 = transposed(r12t);
    await subtractSquare(h, begin, r12, r12t, multiply);
    write(h, begin, middle, await timesUpper(r12, u22, multiply), 1);
  }
  const failedAbove = await factorize(h, begin, middle, multiply);
  if (failedAbove !== undefined) return failedAbove;
  const u11 = copyOf(h, begin, middle, begin, middle);
  write(h, begin, middle, await upperTimes(u11, copyOf(h, begin, middle, middle, end), multiply), -1);
  for (let row = middle; row < end; row++) h.data.fill(0, row * h.columns + begin, row * h.columns + middle);
  return undefined;
}

/** u · x of an upper triangular u: a band of its rows begins at the diagonal. */
async function upperTimes(u: Dense, x: Dense, multiply: Multiply): Promise<Dense> {
  const data = new Float64Array(x.data.length);
  for (const { from, to } of bandsOf(u.rows)) {
    const rest = { rows: x.rows - from, columns: x.columns, data: x.data.subarray(from * x.columns) };
    const part = await multiply(copyOf(u, from, to, from, u.columns), rest);
    data.set(part.data, from * x.columns);
  }
  return { rows: x.rows, columns: x.columns, data };
}

/** x · u of an upper triangular u: a band of its columns ends at the diagonal. */
async function timesUpper(x: Dense, u: Dense, multiply: Multiply): Promise<Dense> {
  const result = { rows: x.rows, columns: x.columns, data: new Float64Array(x.data.length) };
  for (const { from, to } of bandsOf(u.columns)) {
    const part = await multiply(copyOf(x, 0, x.rows, 0, to), copyOf(u, 0, to, from, to));
    write(result, 0, from, part, 1);
  }
  return result;
}

/** Takes r rᵀ from the square of h that begins on its diagonal at `begin`: one triangle is computed. */
async function subtractSquare(h: Dense, begin: number, r: Dense, rt: Dense, multiply: Multiply): Promise<void> {
  for (const { from, to } of bandsOf(r.rows)) {
    const part = await multiply(copyOf(r, from, to, 0, r.columns), copyOf(rt, 0, rt.rows, 0, to));
    subtract(h, begin + from, begin, part);
    const left = copyOf(part, 0, part.rows, 0, from);
    subtract(h, begin, begin + from, transposed(left));
  }
}

function factorizePlain(data: Float64Array, stride: number, begin: number, end: number): number | undefined {
  // R, column by column from the last: R[i, j] = (H[i, j] - Σ_{k>j} R[i, k] R[j, k]) / R[j, j] for i <= j.
  for (let j = end - 1; j >= begin; j--) {
    const rowJ = j * stride;
    const square = data[rowJ + j]! - dot(data, rowJ + j + 1, data, rowJ + j + 1, end - j - 1);
    if (!(square > 0 && square < Number.POSITIVE_INFINITY)) return j;
    const pivot = Math.sqrt(square);
    data[rowJ + j] = pivot;
    for (let i = begin; i < j; i++) {
      const at = i * stride + j;
      data[at] = (data[at]! - dot(data, at + 1, data, rowJ + j + 1, end - j - 1)) / pivot;
    }
  }
  // U = R⁻¹, row by row from the last: R[i, i] U[i, :] = e_i - Σ_{k>i} R[i, k] U[k, :].
  const row = new Float64Array(end - begin);
  for (let i = end - 1; i >= begin; i--) {
    const rowI = i * stride;
    const inverse = 1 / data[rowI + i]!;
    for (let k = i + 1; k < end; k++) row[k - begin] = data[rowI + k]!;
    data.fill(0, rowI + begin, rowI + end);
    data[rowI + i] = inverse;
    for (let k = i + 1; k < end; k++) {
      const factor = row[k - begin]! * inverse;
      const rowK = k * stride;
      for (let j = k; j < end; j++) data[rowI + j]! -= factor * data[rowK + j]!;
    }
  }
  return undefined;
}

function copyOf(h: Dense, row: number, rowEnd: number, column: number, columnEnd: number) {
  const columns = columnEnd - column;
  const data = new Float64Array((rowEnd - row) * columns);
  for (let r = row; r < rowEnd; r++) {
    data.set(h.data.subarray(r * h.columns + column, r * h.columns + columnEnd), (r - row) * columns);
  }
  return { rows: rowEnd - row, columns, data };
}

function transposed(a: Matrix<Float64Array>): Matrix<Float64Array> {
  const data = new Float64Array(a.data.length);
  transposeInto(whole(a.data, a.columns), a.rows, a.columns, whole(data, a.rows));
  return { rows: a.columns, columns: a.rows, data };
}

function whole(data: Float64Array, stride: number): View {
  return { data, offset: 0, stride };
}

function subtract(h: Matrix<Float64Array>, row: number, column: number, part: Matrix<Float64Array>): void {
  for (let r = 0; r < part.rows; r++) {
    const to = (row + r) * h.columns + column;
    const from = r * part.columns;
    for (let c = 0; c < part.columns; c++) h.data[to + c]! -= part.data[from + c]!;
  }
}

function write(h: Matrix<Float64Array>, row: number, column: number, part: Matrix<Float64Array>, sign: 1 | -1): void {
  for (let r = 0; r < part.rows; r++) {
    const to = (row + r) * h.columns + column;
    const from = r * part.columns;
    for (let c = 0; c < part.columns; c++) h.data[to + c] = sign * part.data[from + c]!;
  }
}
