import type { FloatArray } from "../tensor/matrix.js";
import { describe } from "./describe.js";
import { type Engine, emptyRows } from "./engine.js";
import type { Program } from "./operations.js";

/** The keys and values that one attention keeps of growing sequences, [sequences, keyValueHeads, capacity, size] each. */
interface KeysAndValues {
  readonly keys: FloatArray;
  readonly values: FloatArray;
  readonly keyValueHeads: number;
  /** Numbers of a head. */
  readonly size: number;
}

/** What a program's attentions remember of sequences that grow token by token; its size never changes. */
export interface Cache {
  readonly sequences: number;
  /** Tokens that each sequence has room for. */
  readonly capacity: number;
  /** In the order in which the program attends. */
  readonly attentions: readonly KeysAndValues[];
}

/** Where tokens go: to sequences first, first + 1, ... of a cache, one for each window, after the tokens they have. */
export interface Place {
  readonly cache: Cache;
  readonly first: number;
  /** Tokens that each of these sequences has so far. */
  readonly lengths: readonly number[];
}

/** Room for the keys and values of sequences. */
export function createCache(
  program: Program,
  engine: Pick<Engine, "precision">,
  sequences: number,
  capacity: number,
): Cache {
  const attentions = describe(program).attentions.map((shape) => {
    const { keyValueHeads, headSize: size } = shape;
    const room = () => emptyRows(engine, sequences * keyValueHeads * capacity * size);
    return { keys: room(), values: room(), keyValueHeads, size };
  });
  return { sequences, capacity, attentions };
}

/** Bytes that one token of one sequence takes in a program's cache. */
export function cacheBytes(program: Program, engine: Pick<Engine, "precision">): number {
  const bytes = engine.precision === "float64" ? 8 : 4;
  return describe(program).attentions.reduce(
    (sum, { keyValueHeads, headSize }) => sum + 2 * keyValueHeads * headSize * bytes,
    0,
  );
}

/** Gives sequence `to` the first so many tokens of sequence `from`. */
export function copySequence({ attentions, capacity }: Cache, from: number, to: number, tokens: number): void {
  for (const { keys, values, keyValueHeads, size } of attentions) {
    for (let head = 0; head < keyValueHeads; head++) {
      const begin = (sequence: number) => (sequence * keyValueHeads + head) * capacity * size;
      for (const rows of [keys, values]) rows.copyWithin(begin(to), begin(from), begin(from) + tokens * size);
    }
  }
}
