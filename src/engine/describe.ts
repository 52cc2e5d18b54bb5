import type { AttentionShape, Builder, Linear, Program, Vector } from "./operations.js";

/** What a program needs to be given, found by running it over a builder that only takes notes. */
export interface Description {
  /** `input` numbers the distinct matrices that linears read: q, k and v of one block share one. */
  readonly linears: readonly (Linear & { readonly input: number })[];
  readonly vectors: readonly Vector[];
  /** Columns of each distinct linear input. */
  readonly inputs: readonly number[];
  readonly attentions: readonly AttentionShape[];
}

/** Lists a program's parameters and which of its linears read the same input. */
export function describe(program: Program): Description {
  const linears: (Linear & { input: number })[] = [];
  const vectors: Vector[] = [];
  const inputs: number[] = [];
  const attentions: AttentionShape[] = [];
  const inputOf = new Map<number, number>();
  let values = 0;
  const next = () => ++values;
  const notes: Builder<number> = {
    linear(x, weight) {
      let input = inputOf.get(x);
      if (input === undefined) {
        input = inputs.push(weight.in) - 1;
        inputOf.set(x, input);
      }
      linears.push({ ...weight, input });
      return next();
    },
    rmsNorm(_, weight) {
      vectors.push(weight);
      return next();
    },
    rope: next,
    attention(_q, _k, _v, shape) {
      attentions.push(shape);
      return next();
    },
    add: next,
    mul: next,
    silu: next,
  };
  program.build(notes, 0);
  return { linears, vectors, inputs, attentions };
}
