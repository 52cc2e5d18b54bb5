import type { FloatArray } from "../tensor/matrix.js";
import { describe } from "./describe.js";
import { type Engine, emptyRows } from "./engine.js";
import type { AttentionShape, Program } from "./operations.js";

/**
 * The keys and values that a block's attention keeps of sequences that grow token by token,
 * [sequences, keyValueHeads, capacity, size] each; its size never changes.
 */
export interface Cache {
  readonly keys: FloatArray;
  readonly values: FloatArray;
  readonly keyValueHeads: number;
  /** Tokens that each sequence has room for. */
  readonly capacity: number;
  /** Numbers of a head. */
  readonly size: number;
}

/** Where tokens go: to sequences first, first + 1, ... of a cache, one for each window, after the tokens they have. */
export interface Place {
  readonly cache: Cache;
  readonly first: number;
  /** Tokens that each of these sequences has so far. */
  readonly lengths: readonly number[];
}

/** The one attention of a program that can extend a cache: a block's. */
export function cachedAttention(program: Program): AttentionShape {
  const [shape, ...others] = describe(program).attentions;
  if (!shape || others.length > 0) throw new Error("a program that extends a cache attends once");
  return shape;
}

/** Room for the keys and values of sequences. */
export function createCache(
  program: Program,
  engine: Pick<Engine, "precision">,
  sequences: number,
  capacity: number,
): Cache {
  const { keyValueHeads, headSize: size } = cachedAttention(program);
  const room = () => emptyRows(engine, sequences * keyValueHeads * capacity * size);
  return { keys: room(), values: room(), keyValueHeads, capacity, size };
}

/** Bytes that one token of one sequence takes in a program's cache. */
export function cacheBytes(program: Program, engine: Pick<Engine, "precision">): number {
  const { keyValueHeads, headSize } = cachedAttention(program);
  return 2 * keyValueHeads * headSize * (engine.precision === "float64" ? 8 : 4);
}

/** Gives sequence `to` the first so many tokens of sequence `from`. */
export function copySequence(cache: Cache, from: number, to: number, tokens: number): void {
  const { keys, values, keyValueHeads, capacity, size } = cache;
  for (let head = 0; head < keyValueHeads; head++) {
    const begin = (sequence: number) => (sequence * keyValueHeads + head) * capacity * size;
    for (const rows of [keys, values]) rows.copyWithin(begin(to), begin(from), begin(from) + tokens * size);
  }
}
