import type { Matrix } from "../tensor/matrix.js";
import { markLowest } from "../tensor/select.js";
import { type Kernel, lazyKernel, reserve } from "../tensor/wasm.js";
import { zeroMarked } from "./rows.js";

/**
 * A copy of weight [out, in] in which the `count` lowest scores |W_ij|·scale_j of every output row are zero, the smaller
 * index first among equals. Scores are float32; neither they nor the scale may be NaN or negative.
 */
export type ZeroLowest = (weight: Matrix<Float32Array>, scale: Float32Array, count: number) => Matrix<Float32Array>;

/** With plain loops: the specification. */
export const plainLowest: ZeroLowest = (weight, scale, count) =>
  zeroMarked(weight, scale, (bits, mask) => markLowest(bits, count, mask));

interface LowestKernel extends Kernel {
  zeroLowest(values: number, scale: number, room: number, rows: number, columns: number, count: number): void;
}

const kernel = lazyKernel<LowestKernel>("methods/kernel/lowest.wasm");

/** Bytes of the weight in the kernel's memory at once. */
const PART_BYTES = 2 ** 20;
const HISTOGRAM_BYTES = 4 * 512;
const MOST_COLUMNS = 2 ** 24;

/** In the kernel; undefined where it does not run. */
export function kernelLowest(): ZeroLowest | undefined {
  const wasm = kernel();
  if (!wasm) return undefined;
  return (weight, scale, count) => {
    const { rows, columns } = weight;
    // Of all or none nothing has to be found.
    if (count <= 0 || count >= columns || columns > MOST_COLUMNS) return plainLowest(weight, scale, count);
    const rowBytes = 4 * columns;
    const rowsAtOnce = Math.min(rows, Math.max(1, Math.floor(PART_BYTES / rowBytes)));
    const start = reserve(wasm, rowsAtOnce * rowBytes + rowBytes + 2 * (rowBytes + 16) + HISTOGRAM_BYTES);
    const scaleAt = start + rowsAtOnce * rowBytes;
    const { buffer } = wasm.memory;
    new Float32Array(buffer, scaleAt, columns).set(scale);
    const data = new Float32Array(weight.data.length);
    for (let row = 0; row < rows; row += rowsAtOnce) {
      const some = Math.min(rowsAtOnce, rows - row);
      const part = new Float32Array(buffer, start, some * columns);
      part.set(weight.data.subarray(row * columns, (row + some) * columns));
      wasm.zeroLowest(start, scaleAt, scaleAt + rowBytes, some, columns, count);
      data.set(part, row * columns);
    }
    return { rows, columns, data };
  };
}

/** In the kernel where it runs, else with plain loops. */
export const zeroLowest: ZeroLowest = (weight, scale, count) => (kernelLowest() ?? plainLowest)(weight, scale, count);
