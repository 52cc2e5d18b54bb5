import type { Place } from "./cache.js";
import { describe } from "./describe.js";
import { type Engine, type Executable, type Observable, type Rows, seenInSegments, type Weights } from "./engine.js";
import type { Program } from "./operations.js";

/** What a run took, however an engine does it. */
export interface Work {
  /** Floating-point operations of matrix products, two (× and +) a term: linears, attention, half of each Gram matrix. */
  readonly operations: number;
  /** Bytes of weights, inputs and outputs: what has to go through memory at least once. */
  readonly bytes: number;
}

/** The engine, telling after every run how much work it was. */
export function meter(engine: Engine, onWork: (work: Work) => void): Engine {
  return {
    ...engine,
    compile: async (program) => meterExecutable(await engine.compile(program), program, onWork),
    async multiply(a, b) {
      const c = await engine.multiply(a, b);
      const bytes = a.data.byteLength + b.data.byteLength + c.data.byteLength;
      onWork({ operations: 2 * a.rows * a.columns * b.columns, bytes });
      return c;
    },
  };
}

function meterExecutable(executable: Executable, program: Program, onWork: (work: Work) => void): Executable {
  const { linears, inputs, attentions } = describe(program);
  const ofLinears = operationsOf(linears);
  const ofObserved = operationsOf(linears.filter(({ isRead }) => isRead));
  const unread = new Set(linears.flatMap(({ name, isRead }) => (isRead ? [] : [`${name}.weight`, `${name}.bias`])));
  const ofGrams = inputs.reduce((sum, { columns }, i) => {
    const { share } = linears.find(({ input }) => input === i)!;
    return sum + columns * (columns + 1) * share;
  }, 0);
  /** Two products, q kᵀ and its result times v, over the keys that each token sees. */
  const ofAttention = (x: Rows, place?: Place) =>
    attentions.reduce(
      (sum, { heads, headSize, window }) =>
        sum + 4 * heads * headSize * keysSeen(x, window ?? Number.POSITIVE_INFINITY, place),
      0,
    );
  const ofWhole = (x: Rows, place?: Place) => x.windows * x.tokens * ofLinears + ofAttention(x, place);
  const bytesOf = (weights: Weights, isMoved: (name: string) => boolean = () => true) => {
    let bytes = 0;
    for (const [name, weight] of weights) if (isMoved(name)) bytes += weight.byteLength;
    return bytes;
  };
  return {
    ...executable,
    async run(x, weights, room, lane) {
      const output = await executable.run(x, weights, room, lane);
      onWork({ operations: ofWhole(x), bytes: x.data.byteLength + output.byteLength + bytesOf(weights) });
      return output;
    },
    async extend(x, weights, place, room) {
      const output = await executable.extend(x, weights, place, room);
      onWork({ operations: ofWhole(x, place), bytes: x.data.byteLength + output.byteLength + bytesOf(weights) });
      return output;
    },
    observe(what: Observable) {
      const observation = executable.observe(what);
      return {
        ...observation,
        async add(x, weights, lane) {
          const rows = await observation.add(x, weights, lane);
          const ofRow = ofObserved + (what === "gram" ? ofGrams : 0);
          onWork({
            operations: x.windows * x.tokens * ofRow + ofAttention(x),
            bytes: x.data.byteLength + bytesOf(weights, (name) => !unread.has(name)),
          });
          return rows;
        },
      };
    },
  };
}

/** For one row of a window. */
function operationsOf(
  linears: readonly { readonly in: number; readonly out: number; readonly share: number }[],
): number {
  return linears.reduce((sum, linear) => sum + 2 * linear.in * linear.out * linear.share, 0);
}

/** Pairs of a token and one that it sees, itself included, through a sliding window of so many tokens. */
function keysSeen({ windows, tokens, segments }: Rows, sliding: number, place: Place | undefined): number {
  if (segments) {
    return seenInSegments(segments).reduce((sum, { position }) => sum + Math.min(position + 1, sliding), 0);
  }
  let pairs = 0;
  for (let window = 0; window < windows; window++) {
    const before = place?.lengths[window] ?? 0;
    for (let token = 0; token < tokens; token++) pairs += Math.min(before + token + 1, sliding);
  }
  return pairs;
}
