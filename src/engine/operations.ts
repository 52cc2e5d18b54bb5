/**
 * The operations in which a model family says its block. A family is a function over a Builder and never looks
 * inside a value V: an engine may compute at once (V is a matrix) or trace a graph (V is the name of an edge).
 *
 * Every value is a matrix of rows: [rows, columns], one row a token, windows one after the other.
 */
export interface Builder<V> {
  /** y = x · Wᵀ (+ b). x [rows, in], W [out, in], y [rows, out]. */
  linear(x: V, weight: Linear): V;
  /** y = x / sqrt(mean(x²) + epsilon) · w, over each row, or each head of it (Zhang and Sennrich 2019, eq. 4). */
  rmsNorm(x: V, weight: Norm, epsilon: number): V;
  /** y = (x - mean(x)) / sqrt(var(x) + epsilon) · w (+ b), over each row (Ba et al. 2016, eq. 4). */
  layerNorm(x: V, weight: Norm & { readonly bias: boolean }, epsilon: number): V;
  /** Rotates pairs of each head's dimensions by position × frequency (Su et al. 2021). */
  rope(x: V, rope: Rope): V;
  /** Causal softmax(q kᵀ · scale) v within each window, heads side by side in the columns. */
  attention(q: V, k: V, v: V, shape: AttentionShape): V;
  /** The learned vectors of the rows' positions, [rows, size]. */
  positions(table: PositionTable): V;
  add(a: V, b: V): V;
  mul(a: V, b: V): V;
  /** x · factor. */
  scale(x: V, factor: number): V;
  /** cap · tanh(x / cap). */
  softCap(x: V, cap: number): V;
  /** x · sigmoid(x). */
  silu(x: V): V;
  /** x · Φ(x) with the normal distribution's Φ (Hendrycks and Gimpel 2016). */
  gelu(x: V): V;
  /** The same paper's approximation: x / 2 · (1 + tanh(√(2/π) (x + 0.044715 x³))). */
  geluTanh(x: V): V;
  /** max(x, 0). */
  relu(x: V): V;
  /** Each row's share of every expert, from a router's logits: [rows, experts], 0 for experts it does not go to. */
  route(logits: V, routing: Routing): V;
  /** The rows of x that go to an expert, [fewer rows, columns]; what is computed of them costs only what they are. */
  gather(x: V, routes: V, expert: number): V;
  /** The gathered rows where they came from, each times its share; the other rows are 0. [rows, columns] */
  scatter(x: V, routes: V, expert: number): V;
}

/** A weight [out, in] named `<name>.weight`, and its bias [out], `<name>.bias`. */
export interface Linear {
  readonly name: string;
  readonly in: number;
  readonly out: number;
  readonly bias: boolean;
  /** Stays as it is: a router. Every other linear of a block is a site that a method may compress. */
  readonly dense?: true;
}

/** The weight [size] of a norm, named `<name>.weight`, and a layer norm's bias [size], `<name>.bias`. */
export interface Norm {
  readonly name: string;
  readonly size: number;
  /** The row is so many heads of `size` columns, and each is normalised by itself, with the same weight. */
  readonly heads?: number;
  /** Stored is the weight less 1. */
  readonly offset?: 1;
}

/** A matrix [rows, size] named `<name>.weight`: row `position + offset` belongs to a position. */
interface PositionTable {
  readonly name: string;
  readonly rows: number;
  readonly size: number;
  readonly offset: number;
}

/** By what positions rotate; a family reads it from its config. */
export interface Rotation {
  /** Radians per position, one a pair. Where they are fewer than headSize / 2, a head's other dimensions stay. */
  readonly frequencies: readonly number[];
  /** Multiplies what is rotated; 1 where it is left out. */
  readonly amplitude?: number;
  /** Pairs are neighbours (0 1, 2 3, ...); else one of the rotated dimensions' first half and one of their second. */
  readonly interleaved?: true;
}

export interface Rope extends Rotation {
  readonly heads: number;
  readonly headSize: number;
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
  /** Scores become cap · tanh(score / cap). */
  readonly softCap?: number;
  /** ALiBi: what a head's scores lose for every token of distance, [heads] (Press et al. 2022, arXiv 2108.12409). */
  readonly slopes?: readonly number[];
}

/** A mixture of experts: a row's shares are a softmax over all of them, of which the largest are kept. */
export interface Routing {
  readonly experts: number;
  /** Experts that a row goes to. */
  readonly chosen: number;
  /** Whether the shares that are kept are made to sum to 1. */
  readonly normalised: boolean;
}

/** A piece of a model that maps rows to rows: a block, or the head. */
export interface Program {
  /** Equal keys compute the same function; engines compile each key once. */
  readonly key: string;
  /** Columns of the input and of the output. */
  readonly columns: { readonly in: number; readonly out: number };
  build<V>(g: Builder<V>, x: V): V;
}
