/**
 * The operations in which a model family says its block. A family is a function over a Builder and never looks
 * inside a value V: an engine may compute at once (V is a matrix) or trace a graph (V is the name of an edge).
 *
 * Every value is a matrix of rows: [rows, columns], one row a token, windows one after the other.
 */
export interface Builder<V> {
  /** y = x · Wᵀ (+ b). x [rows, in], W [out, in], y [rows, out]. Every linear of a block is a site to compress. */
  linear(x: V, weight: Linear): V;
  /** y = x / sqrt(mean(x²) + epsilon) · w, over each row (Zhang and Sennrich 2019, eq. 4). */
  rmsNorm(x: V, weight: Vector, epsilon: number): V;
  /** Rotates each head's halves by position × frequency (Su et al. 2021, in Hugging Face's half-split layout). */
  rope(x: V, rope: Rope): V;
  /** Causal softmax(q kᵀ · scale) v within each window, heads side by side in the columns. */
  attention(q: V, k: V, v: V, shape: AttentionShape): V;
  add(a: V, b: V): V;
  mul(a: V, b: V): V;
  /** x · sigmoid(x). */
  silu(x: V): V;
}

/** A weight [out, in] stored as `<name>.weight`, and its bias [out] as `<name>.bias`. */
export interface Linear {
  readonly name: string;
  readonly in: number;
  readonly out: number;
  readonly bias: boolean;
}

/** A vector of parameters stored as `<name>.weight`. */
export interface Vector {
  readonly name: string;
  readonly size: number;
}

export interface Rope {
  readonly heads: number;
  readonly headSize: number;
  /** Radians per position, [headSize / 2]. */
  readonly frequencies: readonly number[];
}

/** The angle of a rotation, radians, in float32 as every implementation computes it. */
export function ropeAngle(position: number, frequency: number): number {
  return Math.fround(position * frequency);
}

export interface AttentionShape {
  readonly heads: number;
  /** Grouped-query attention: consecutive groups of heads / keyValueHeads query heads share one key and value head. */
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly scale: number;
  /** Sliding window: a token sees itself and the `window` - 1 tokens before it. */
  readonly window?: number;
}

/** A piece of a model that maps rows to rows: a block, or the head. */
export interface Program {
  /** Equal keys compute the same function; engines compile each key once. */
  readonly key: string;
  /** Columns of the input and of the output. */
  readonly columns: { readonly in: number; readonly out: number };
  build<V>(g: Builder<V>, x: V): V;
}
