import { Tensor } from "onnxruntime-node";

/**
 * The lower triangle of Σ x xᵀ in bands of rows: band r is its product with the bands up to its own, and what lies right
 * of the diagonal band is never computed. With four bands that is 10 of 16 products.
 */
export interface Band {
  /** Rows [from, to) of the Gram matrix, of which columns [0, to) are computed. */
  readonly from: number;
  readonly to: number;
}

const BANDS = 4;
/** Below this a product is too small to gain from being cut. */
const LEAST_SIZE = 512;

export function bandsOf(size: number): Band[] {
  const count = size < LEAST_SIZE ? 1 : BANDS;
  const ends = Array.from({ length: count + 1 }, (_, band) => Math.round((band * size) / count));
  return Array.from({ length: count }, (_, band) => ({ from: ends[band]!, to: ends[band + 1]! }));
}

/** The graph output of a linear input's band, [to - from, to]. */
export const bandName = (input: number, band: number): string => `gram.${input}.${band}`;

/** Room for the bands of a linear input. */
export function bandTensors(input: number, size: number): Record<string, Tensor> {
  const tensors: Record<string, Tensor> = {};
  for (const [index, { from, to }] of bandsOf(size).entries()) {
    tensors[bandName(input, index)] = new Tensor("float32", new Float32Array((to - from) * to), [to - from, to]);
  }
  return tensors;
}

/** Adds the bands of a linear input to the lower triangle of `sum`, [size, size]. */
export function addBands(
  sum: Float64Array,
  tensors: Readonly<Record<string, Tensor>>,
  input: number,
  size: number,
): void {
  for (const [index, { from, to }] of bandsOf(size).entries()) {
    const rows = tensors[bandName(input, index)]!.data as Float32Array;
    for (let row = from; row < to; row++) {
      const band = (row - from) * to;
      for (let column = 0; column <= row; column++) sum[row * size + column]! += rows[band + column]!;
    }
  }
}
