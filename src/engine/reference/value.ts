import { dot } from "../../tensor/dot.js";
import { type Norm, type Rope, type Routing, ropeAngle } from "../operations.js";

/** A value of the reference engine: the numbers themselves. [rows, columns] */
export interface Value {
  readonly data: Float64Array;
  readonly columns: number;
}

export function elementwise(a: Value, compute: (value: number, index: number) => number): Value {
  const data = new Float64Array(a.data.length);
  for (let i = 0; i < data.length; i++) data[i] = compute(a.data[i]!, i);
  return { data, columns: a.columns };
}

/** Each row, or each head of it, times 1 / sqrt(its mean square + epsilon) and the weight; less its mean, if `centred`. */
export function normalise(
  { data: x, columns }: Value,
  { size, offset }: Norm,
  weight: Float32Array,
  bias: Float32Array | undefined,
  epsilon: number,
  centred: boolean,
): Value {
  const data = x.slice();
  for (let from = 0; from < data.length; from += size) {
    if (centred) {
      const mean = data.subarray(from, from + size).reduce((sum, value) => sum + value, 0) / size;
      for (let j = from; j < from + size; j++) data[j]! -= mean;
    }
    const scale = 1 / Math.sqrt(dot(data, from, data, from, size) / size + epsilon);
    for (let j = 0; j < size; j++)
      data[from + j] = data[from + j]! * scale * (weight[j]! + (offset ?? 0)) + (bias?.[j] ?? 0);
  }
  return { data, columns };
}

export function rope(value: Value, shape: Rope, positionOf: (row: number) => number): Value {
  const { heads, headSize, frequencies, amplitude = 1, interleaved } = shape;
  const data = value.data.slice();
  const pairs = frequencies.length;
  for (let row = 0; row * value.columns < data.length; row++) {
    const position = positionOf(row);
    for (const [i, frequency] of frequencies.entries()) {
      const angle = ropeAngle(position, frequency);
      const cos = Math.cos(angle) * amplitude;
      const sin = Math.sin(angle) * amplitude;
      for (let head = 0; head < heads; head++) {
        const at = row * value.columns + head * headSize;
        const [low, high] = interleaved ? [at + 2 * i, at + 2 * i + 1] : [at + i, at + pairs + i];
        data[low] = value.data[low]! * cos - value.data[high]! * sin;
        data[high] = value.data[high]! * cos + value.data[low]! * sin;
      }
    }
  }
  return { data, columns: value.columns };
}

/** The error function, by its series of positive terms: 2/√π · e^(-x²) Σ 2ⁿ x^(2n+1) / (1 · 3 ··· (2n+1)). */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

export const silu = (x: number): number => x / (1 + Math.exp(-x));
export const gelu = (x: number): number => (x / 2) * (1 + erf(x / Math.SQRT2));
export const geluTanh = (x: number): number =>
  (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

export function route({ data: logits }: Value, { experts, chosen, normalised }: Routing): Value {
  const data = new Float64Array(logits.length);
  for (let from = 0; from < data.length; from += experts) {
    const row = Array.from(logits.subarray(from, from + experts));
    const sorted = row.map((_, expert) => expert).sort((a, b) => row[b]! - row[a]! || a - b);
    const likeliest = sorted.slice(0, chosen);
    const exp = (expert: number) => Math.exp(row[expert]! - row[sorted[0]!]!);
    const total = (normalised ? likeliest : sorted).reduce((sum, expert) => sum + exp(expert), 0);
    for (const expert of likeliest) data[from + expert] = exp(expert) / total;
  }
  return { data, columns: experts };
}

/** The rows with a share in an expert. */
function rowsOf({ data, columns }: Value, expert: number): number[] {
  return Array.from({ length: data.length / columns }, (_, row) => row).filter(
    (row) => data[row * columns + expert] !== 0,
  );
}

export function gather({ data: x, columns }: Value, routes: Value, expert: number): Value {
  const rows = rowsOf(routes, expert);
  const data = new Float64Array(rows.length * columns);
  for (const [i, row] of rows.entries()) data.set(x.subarray(row * columns, (row + 1) * columns), i * columns);
  return { data, columns };
}

export function scatter({ data: x, columns }: Value, routes: Value, expert: number): Value {
  const data = new Float64Array((routes.data.length / routes.columns) * columns);
  for (const [i, row] of rowsOf(routes, expert).entries()) {
    const share = routes.data[row * routes.columns + expert]!;
    for (let j = 0; j < columns; j++) data[row * columns + j] = x[i * columns + j]! * share;
  }
  return { data, columns };
}
