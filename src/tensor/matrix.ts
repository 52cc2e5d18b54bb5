/** Numbers of either precision; engines choose which. */
export type FloatArray = Float32Array | Float64Array;

/** A dense row-major matrix: element [r, c] is `data[r * columns + c]`. */
export interface Matrix<T extends FloatArray = FloatArray> {
  readonly rows: number;
  readonly columns: number;
  readonly data: T;
}
