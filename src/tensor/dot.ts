/** Σ x[i] y[i] over `length` terms, in four partial sums: quicker, and rounding errors grow more slowly. */
export function dot(x: Float64Array, xFrom: number, y: Float64Array, yFrom: number, length: number): number {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let i = 0;
  for (; i + 3 < length; i += 4) {
    a += x[xFrom + i]! * y[yFrom + i]!;
    b += x[xFrom + i + 1]! * y[yFrom + i + 1]!;
    c += x[xFrom + i + 2]! * y[yFrom + i + 2]!;
    d += x[xFrom + i + 3]! * y[yFrom + i + 3]!;
  }
  for (; i < length; i++) a += x[xFrom + i]! * y[yFrom + i]!;
  return a + b + (c + d);
}
