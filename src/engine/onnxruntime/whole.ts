/**
 * An operation that consecutive nodes of a graph make up: an engine that knows it may compute it at once in place of them.
 * Names are those of edges and graph inputs; all values are rows [rows, columns].
 */
export type Operation =
  /** The same numbers as rows. */
  | { readonly kind: "alias"; readonly x: string }
  /** Over every `size` numbers: x / sqrt(mean(x²) + epsilon) · (weight + offset). */
  | {
      readonly kind: "rmsNorm";
      readonly x: string;
      readonly weight: string;
      readonly offset: number;
      readonly size: number;
      readonly epsilon: number;
    }
  | { readonly kind: "add" | "multiply"; readonly a: string; readonly b: string }
  | { readonly kind: "silu"; readonly x: string }
  /** Rotates the first 2 · pairs dimensions of every head, the first half with the second. */
  | {
      readonly kind: "rope";
      readonly x: string;
      readonly cos: string;
      readonly sin: string;
      readonly heads: number;
      readonly headSize: number;
      readonly pairs: number;
    }
  | {
      readonly kind: "attention";
      readonly q: string;
      readonly k: string;
      readonly v: string;
      readonly heads: number;
      readonly keyValueHeads: number;
      readonly headSize: number;
      readonly scale: number;
      readonly chunks: readonly Chunk[];
    }
  /** Σ x² of every column, float64 [columns]. */
  | { readonly kind: "squares"; readonly x: string; readonly columns: number }
  /** Parts of xᵀ x, each added to what was there before. */
  | { readonly kind: "gram"; readonly x: string; readonly tiles: readonly GramTile[] };

/** The product of the columns [from, to) of x with others of it. */
interface GramTile {
  readonly row: { readonly from: number; readonly to: number };
  readonly column: { readonly from: number; readonly to: number };
  /** An input of the graph, and an output: the first tile's is the operation's result. */
  readonly before: string;
  readonly y: string;
}

/** The inputs that say which queries [begin, end) see which of the keys [first, end), and their mask. */
interface Chunk {
  readonly begin: string;
  readonly end: string;
  readonly first: string;
  readonly mask: string;
}

/** An operation with the name of its result. */
export type Whole = Operation & { readonly y: string };

/** What an operation reads, but for parameters and tables. */
export function operandsOf(operation: Operation): string[] {
  switch (operation.kind) {
    case "add":
    case "multiply":
      return [operation.a, operation.b];
    case "attention":
      return [operation.q, operation.k, operation.v];
    default:
      return [operation.x];
  }
}
