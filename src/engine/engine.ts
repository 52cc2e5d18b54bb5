import type { FloatArray, Multiply } from "../tensor/matrix.js";
import type { Place } from "./cache.js";
import type { Program } from "./operations.js";

/** Rows of several windows of one length: [windows × tokens, columns], window after window. */
export interface Rows {
  readonly data: FloatArray;
  readonly windows: number;
  readonly tokens: number;
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
   */
  observe(x: Rows, weights: Weights, what: Observable, sums: readonly Float64Array[]): Promise<void>;
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
