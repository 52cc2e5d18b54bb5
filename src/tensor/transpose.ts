/** Tiles small enough that both sides stay in the first-level cache. */
const TILE = 32;

/** A rectangle inside a larger row-major array: its element [r, c] is `data[offset + r * stride + c]`. */
export interface View {
  readonly data: Float64Array;
  readonly offset: number;
  readonly stride: number;
}

/** target[c, r] = source[r, c] for a source of [rows, columns]; the two must not overlap. */
export function transposeInto(source: View, rows: number, columns: number, target: View): void {
  const from = source.data;
  const to = target.data;
  for (let row = 0; row < rows; row += TILE) {
    const rowEnd = Math.min(row + TILE, rows);
    for (let column = 0; column < columns; column += TILE) {
      const columnEnd = Math.min(column + TILE, columns);
      for (let r = row; r < rowEnd; r++) {
        const base = source.offset + r * source.stride;
        for (let c = column; c < columnEnd; c++) to[target.offset + c * target.stride + r] = from[base + c]!;
      }
    }
  }
}
