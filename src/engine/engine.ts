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

/** A parameter's numbers, row-major: float32, in which every dtype that is read fits, or the bits of bfloat16. */
export type Weight = Float32Array | Uint16Array;

/**
 * Parameters by name (`self_attn.q_proj.weight`); in bfloat16 only those of linears, for an engine that takes it. An array's
 * numbers never change, and an engine may keep what it made of them for as long as that is there: other numbers in the same memory are
 * another array.
 */
export type Weights = ReadonlyMap<string, Weight>;

/** What to sum up of the inputs of a program's linears. */
export type Observable = "squaredNorms" | "gram";

/** A program made ready to run with any layer's weights. */
export interface Executable {
  /** How many runs it can compute side by side, each with its share of the threads: in lanes 0, 1, … of that many. */
  readonly lanes: number;
  /**
   * The program's output, [windows × tokens, columns out], in the engine's precision; written to `room`, and that
   * returned, where it is given and fits. `room` may not be x's own memory. With a lane, others may run beside it in
   * other lanes; without, it has all threads.
   */
  run(x: Rows, weights: Weights, room?: FloatArray, lane?: number): Promise<FloatArray>;
  /**
   * The program's output for tokens that follow those that `place` names, in sequences of a cache made for this program,
   * which then has them too. Either one sequence gets any number of tokens, or several get one each.
   */
  extend(x: Rows, weights: Weights, place: Place, room?: FloatArray): Promise<FloatArray>;
  /** Begins to sum what is asked of the inputs of the program's linears. */
  observe(what: Observable): Observation;
}

/** Sums over the rows of many runs. Activations themselves stay inside. */
interface Observation {
  /** As of Executable. */
  readonly lanes: number;
  /**
   * Runs the program as far as its last linear's input. Returns how many rows each distinct input (numbered as in
   * `describe`) had: of an expert's, those that went to it. Runs count in the order in which they are asked for, whichever lane is
   * done first.
   */
  add(x: Rows, weights: Weights, lane?: number): Promise<number[]>;
  /**
   * Σ x_j² [in], or the lower triangle of Σ x xᵀ [in, in], the rest 0, of each distinct input: a few runs in the engine's
   * precision, those in float64. Ends the observation.
   */
  sums(): Float64Array[];
}

/**
 * What an engine computes matrix products in. Of bfloat16 it is the factors: sums, results and hidden states are float32,
 * which is what lies in JavaScript's memory.
 */
export const precisions = ["float32", "bfloat16", "float64"] as const;
export type Precision = (typeof precisions)[number];

/** What an engine may compute on; the first is the default. What the others cannot compute, `cpu` does. */
export const devices = ["cpu", "webgpu", "cuda", "coreml", "dml"] as const;
export type Device = (typeof devices)[number];

/** Who computes. Created by a factory in the registry, disposed by who created it. */
export interface Engine {
  readonly name: string;
  readonly precision: Precision;
  readonly device: Device;
  /** Of the processor, that it computes with. */
  readonly threads: number;
  /** Name and version for results. */
  readonly version: string;
  /** Bytes that it takes at most for every number of a weight, beside what it is given: to pack it, and for as long as it is there. */
  readonly packedBytes: number;
  /** Whether linears' weights may be given to it in bfloat16, and become the same numbers as if they were widened first. */
  readonly takesBfloat16: boolean;
  /** Whether it writes to memory that threads share. */
  readonly takesShared: boolean;
  /** Throws InputError where the engine cannot compute here, if only computing shows that: before any work. */
  check?(): Promise<void>;
  compile(program: Program): Promise<Executable>;
  /** Float64 matrix product for the methods' linear algebra. */
  readonly multiply: Multiply;
  dispose(): Promise<void>;
}

/** Bytes of a number of a weight, at most: float32, and what the engine makes of it in each of so many lanes. */
export function weightBytes({ packedBytes }: Pick<Engine, "packedBytes">, lanes = 1): number {
  return 4 + lanes * packedBytes;
}

/** Raised whenever the same models compute other digits than before, be it the last. */
const COMPUTATION_VERSION = "4";

/** What of an engine decides the digits of its results: for the keys under which they are kept. */
export function howComputed({ name, precision, device }: Pick<Engine, "name" | "precision" | "device">): string[] {
  const how = [COMPUTATION_VERSION, name, precision];
  return device === "cpu" ? how : [...how, device];
}

/** Room for a program's output in an engine's precision. */
export function emptyRows(engine: Pick<Engine, "precision">, length: number): FloatArray {
  return engine.precision === "float64" ? new Float64Array(length) : new Float32Array(length);
}

/** The same, where other threads can read it in its place, if the engine writes there. */
export function sharedRows(engine: Pick<Engine, "precision" | "takesShared">, length: number): FloatArray {
  if (!engine.takesShared) return emptyRows(engine, length);
  if (engine.precision === "float64") return new Float64Array(new SharedArrayBuffer(8 * length));
  return new Float32Array(new SharedArrayBuffer(4 * length));
}
