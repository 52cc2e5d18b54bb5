import type { z } from "zod";
import type { Matrix, Multiply } from "../tensor/matrix.js";

/** What a method may know of the input x of a site, summed over every calibration window in the engine. */
export interface Statistics {
  /** Calibration windows seen: the n of the papers' means. */
  readonly windows: number;
  readonly tokens: number;
  /** Sum over tokens of x_j², [in]. */
  readonly squaredNorms?: Float64Array;
  /** Sum over tokens of x xᵀ, [in, in], full and symmetric. */
  readonly gram?: Matrix<Float64Array>;
}

/** How much is to be zeroed. `n:m` zeroes n of every m consecutive inputs of an output row. */
export type Target =
  | { readonly kind: "unstructured"; readonly sparsity: number }
  | { readonly kind: "n:m"; readonly n: number; readonly m: number };

/** What a method may use besides its arguments. */
export interface MethodContext {
  readonly multiply: Multiply;
  /** What `compute` gives, computed once for all sites that share these statistics (q, k and v; gate and up). */
  readonly shared: <T>(statistics: Statistics, compute: () => Promise<T>) => Promise<T>;
  /** One line for the user; the layer loop adds layer and site. */
  readonly warn: (message: string) => void;
}

/**
 * A compression method: a pure function of one weight and the statistics of its input.
 * Which layers, in what order, on what data: that is the layer loop's, in compression/layers.ts.
 */
export interface Method<Options = unknown> {
  readonly name: string;
  /** One line for `pare list methods`. */
  readonly summary: string;
  readonly source: string;
  /** Raised whenever the same input gives another result: studies compute again what an earlier version made. */
  readonly version: number;
  readonly needs: "nothing" | "squaredNorms" | "gram";
  readonly options: z.ZodType<Options>;
  /** weight [out, in] is not changed; the result has its shape. */
  compress(
    weight: Matrix<Float32Array>,
    statistics: Statistics,
    target: Target,
    options: Options,
    context: MethodContext,
  ): Promise<Matrix<Float32Array>>;
}

/** What `MethodContext.shared` is within one layer. */
export function createShared(): MethodContext["shared"] {
  const results = new Map<Statistics, Promise<unknown>>();
  return <T>(statistics: Statistics, compute: () => Promise<T>) => {
    const known = results.get(statistics) ?? compute();
    results.set(statistics, known);
    return known as Promise<T>;
  };
}
