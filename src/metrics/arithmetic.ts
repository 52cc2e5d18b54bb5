import type { FloatArray } from "../tensor/matrix.js";
import { type Divergences, divergences } from "./divergence.js";
import { findTop, type Softmax, softmax, type TopTokens, topTokens } from "./softmax.js";

/** The base or the model that is compared with it. */
export type Side = 0 | 1;

/** One position's next-token distribution, in short. */
type Distribution = Omit<Softmax, "exponentials"> & { readonly top: TopTokens };

/** The loops over the vocabulary: for one position at a time, of one or of both models. */
export interface Arithmetic {
  /**
   * The softmax of logits[begin, begin + vocabulary); undefined where one is NaN or infinite.
   * Holds until the same side is asked for again.
   */
  softmax(side: Side, logits: FloatArray, begin: number): Distribution | undefined;
  /** Side 0's distribution P against side 1's Q, both as softmax gave them last. */
  divergences(P: Distribution, Q: Distribution): Divergences;
}

/** The arithmetic in TypeScript: the specification of the kernel, and what runs where WebAssembly's SIMD is missing. */
export function plainArithmetic(vocabulary: number): Arithmetic {
  const tops = [topTokens(), topTokens()] as const;
  const exponentials = [new Float64Array(vocabulary), new Float64Array(vocabulary)] as const;
  return {
    softmax(side, logits, begin) {
      const top = tops[side];
      if (!findTop(logits, begin, vocabulary, top)) return undefined;
      return { ...softmax(logits, begin, vocabulary, top, exponentials[side]), top };
    },
    divergences: (P, Q) =>
      divergences({ ...P, exponentials: exponentials[0] }, { ...Q, exponentials: exponentials[1] }, vocabulary),
  };
}
