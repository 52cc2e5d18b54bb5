/** Numbers of either precision; engines choose which. */
export type FloatArray = Float32Array | Float64Array;

/** The memory that numbers lie in. */
export function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** A dense row-major matrix: element [r, c] is `data[r * columns + c]`. */
export interface Matrix<T extends FloatArray = FloatArray> {
  readonly rows: number;
  readonly columns: number;
  readonly data: T;
}

/** C = A · B in float64, A [rows, inner], B [inner, columns]; by the engine, at its speed. */
export type Multiply = (a: Matrix<Float64Array>, b: Matrix<Float64Array>) => Promise<Matrix<Float64Array>>;
