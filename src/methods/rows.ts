import type { Matrix } from "../tensor/matrix.js";
import { bitsOf } from "../tensor/select.js";

/**
 * A copy of weight [out, in] in which whatever `mark` marks of each output row is zero. It sees the row's scores
 * |W_ij|·scale_j, [in], as the bits of float32 numbers, the precision in which PyTorch computes them (the sign counts for nothing).
 */
export function zeroMarked(
  weight: Matrix<Float32Array>,
  scale: Float32Array | undefined,
  mark: (bits: Uint32Array, mask: Uint8Array) => void,
): Matrix<Float32Array> {
  const { rows, columns } = weight;
  const data = weight.data.slice();
  const scores = new Float32Array(columns);
  const bits = bitsOf(scores);
  const mask = new Uint8Array(columns);
  for (let r = 0; r < rows; r++) {
    const row = data.subarray(r * columns, (r + 1) * columns);
    const rowBits = bitsOf(row);
    if (scale) for (let c = 0; c < columns; c++) scores[c] = Math.abs(row[c]!) * scale[c]!;
    else scores.set(row);
    mark(bits, mask);
    // 1 becomes no bit, 0 all bits: half go, and a branch would be mispredicted as often.
    for (let c = 0; c < columns; c++) rowBits[c]! &= mask[c]! - 1;
  }
  return { rows, columns, data };
}
