import type { FloatArray, Multiply } from "../tensor/matrix.js";
import type { Place } from "./cache.js";
import type { Program } from "./operations.js";

/** Rows of several windows of one length: [windows × tokens, columns], window after window. */
export interface Rows {
  readonly data: FloatArray;
  readonly windows: number;
  readonly tokens: number;
  /** Of a single window only: the pieces that it consists of, which do not see one another but as they say. */
  readonly segments?: readonly Segment[] | undefined;
}

/**
 * A run of tokens within a window. It sees itself, causally, and, where it continues another segment, all that this one
 * and those before it hold, as if the window had nothing else in it: several continuations of one text, and several texts,
 * go through a block together.
 */
export interface Segment {
  readonly tokens: number;
  /** Index of the earlier segment that this one continues. */
  readonly continues?: number;
}

/** Where each token of a window stands in its own text, and from where on it sees which rows. */
export interface Seen {
  readonly position: number;
  /** Ranges of rows [from, to), in the order of the text; the last ends with the token itself. */
  readonly ranges: readonly (readonly [from: number, to: number])[];
}

/** What every token of a segmented window sees. */
export function seenInSegments(segments: readonly Segment[]): Seen[] {
  const whole: { readonly length: number; readonly ranges: Seen["ranges"] }[] = [];
  const seen: Seen[] = [];
  for (const { tokens, continues } of segments) {
    const begin = seen.length;
    const before = continues === undefined ? { length: 0, ranges: [] } : whole[continues]!;
    for (let t = 0; t < tokens; t++) {
      seen.push({ position: before.length + t, ranges: [...before.ranges, [begin, begin + t + 1]] });
    }
    whole.push({ length: before.length + tokens, ranges: [...before.ranges, [begin, begin + tokens]] });
  }
  return seen;
}

/** Parameters by name (`self_attn.q_proj.weight`), row-major, always float32: every dtype that is read fits in it. */
export type Weights = ReadonlyMap<string, Float32Array>;

/** What to sum up of the inputs of a program's linears. */
export type Observable = "squaredNorms" | "gram";

/** A program made ready to run with any layer's weights. */
export interface Executable {
  /**
   * The program's output, [windows × tokens, columns out], in the engine's precision; written to `room`, and that
   * returned, where it is given and fits. `room` may not be x's own memory.
   */
  run(x: Rows, weights: Weights, room?: FloatArray): Promise<FloatArray>;
  /**
   * The program's output for tokens that follow those that `place` names, in sequences of a cache made for this program,
   * which then has them too. Either one sequence gets any number of tokens, or several get one each.
   */
  extend(x: Rows, weights: Weights, place: Place, room?: FloatArray): Promise<FloatArray>;
  /**
   * Runs the program as far as its last linear's input and adds what was asked, over all rows, to `sums`, one for each
   * distinct input (numbered as in `describe`): Σ x_j² to [in], or the lower triangle of Σ x xᵀ to [in, in], whose rest is
   * left as it is. A run is summed in the engine's precision, runs in float64. Activations themselves stay inside.
   * Returns how many rows each input had: of an expert's, those that went to it.
   */
  observe(x: Rows, weights: Weights, what: Observable, sums: readonly Float64Array[]): Promise<number[]>;
}

/** Who computes. Created by a factory in the registry, disposed by who created it. */
export interface Engine {
  readonly name: string;
  readonly precision: "float64" | "float32";
  /** Name and version for results. */
  readonly version: string;
  compile(program: Program): Promise<Executable>;
  /** Float64 matrix product for the methods' linear algebra. */
  readonly multiply: Multiply;
  dispose(): Promise<void>;
}

/** Room for a program's output in an engine's precision. */
export function emptyRows(engine: Pick<Engine, "precision">, length: number): FloatArray {
  return engine.precision === "float64" ? new Float64Array(length) : new Float32Array(length);
}
