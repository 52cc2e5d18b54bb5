/** Columns, or rows, [from, to) of a square matrix. */
export interface Band {
  readonly index: number;
  readonly from: number;
  readonly to: number;
}

const BANDS = 4;
/** Below this a product is too small to gain from being cut. */
const LEAST_SIZE = 512;

/** Bands that a triangular or symmetric matrix is cut into, so that 10 of 16 products are left. */
export function bandsOf(size: number): Band[] {
  const count = size < LEAST_SIZE ? 1 : BANDS;
  const end = (band: number) => Math.round((band * size) / count);
  return Array.from({ length: count }, (_, index) => ({ index, from: end(index), to: end(index + 1) }));
}
