import { dot } from "../../tensor/dot.js";
import type { Matrix } from "../../tensor/matrix.js";

/** y = x · Wᵀ (+ bias): x [rows, in], w [out, in], result [rows, out], summed in float64. */
export function linear(
  x: Float64Array,
  rows: number,
  weight: Float32Array,
  bias: Float32Array | undefined,
  inputs: number,
  outputs: number,
): Float64Array {
  const y = new Float64Array(rows * outputs);
  const w = Float64Array.from(weight);
  for (let row = 0; row < rows; row++) {
    const from = row * inputs;
    for (let out = 0; out < outputs; out++) {
      y[row * outputs + out] = dot(x, from, w, out * inputs, inputs) + (bias ? bias[out]! : 0);
    }
  }
  return y;
}

/** Adds Σ over rows of x_j² to `sums`, [columns]. */
export function addSquaredNorms(sums: Float64Array, x: Float64Array, columns: number): void {
  for (let from = 0; from < x.length; from += columns) {
    for (let j = 0; j < columns; j++) sums[j]! += x[from + j]! ** 2;
  }
}

/** Adds Σ over rows of x xᵀ to the lower triangle of `sums`, [columns, columns]. */
export function addGram(sums: Float64Array, x: Float64Array, columns: number): void {
  for (let from = 0; from < x.length; from += columns) {
    for (let i = 0; i < columns; i++) {
      const value = x[from + i]!;
      for (let j = 0; j <= i; j++) sums[i * columns + j]! += value * x[from + j]!;
    }
  }
}

/** C = A · B, A [rows, inner], B [inner, columns]. */
export function multiply(a: Matrix<Float64Array>, b: Matrix<Float64Array>): Matrix<Float64Array> {
  const { rows, columns: inner } = a;
  const { columns } = b;
  const data = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < inner; k++) {
      const value = a.data[i * inner + k]!;
      if (value === 0) continue;
      for (let j = 0; j < columns; j++) data[i * columns + j]! += value * b.data[k * columns + j]!;
    }
  }
  return { rows, columns, data };
}
