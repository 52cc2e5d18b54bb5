import type { AttentionShape, Builder, Linear, Norm, Program } from "./operations.js";

/** What a program needs to be given, found by running it over a builder that only takes notes. */
export interface Description {
  /** The linears that may be compressed. `input` numbers the distinct matrices that they read: q, k and v share one. */
  readonly linears: readonly (Linear & { readonly input: number })[];
  /** Every parameter by its name, with its shape. */
  readonly parameters: ReadonlyMap<string, readonly number[]>;
  readonly inputs: readonly LinearInput[];
  readonly attentions: readonly AttentionShape[];
}

/** What linears read. */
export interface LinearInput {
  readonly columns: number;
  /** Whether its rows are those that go to one expert. */
  readonly gathered: boolean;
}

/** A value is known by its identity. */
interface Noted {
  readonly gathered: boolean;
}

/** Lists a program's parameters and which of its linears read the same input. */
export function describe(program: Program): Description {
  const linears: (Linear & { input: number })[] = [];
  const parameters = new Map<string, readonly number[]>();
  const inputs: LinearInput[] = [];
  const attentions: AttentionShape[] = [];
  const inputOf = new Map<Noted, number>();
  const like = ({ gathered }: Noted): Noted => ({ gathered });
  const norm = (x: Noted, { name, size, bias }: Norm & { readonly bias?: boolean }): Noted => {
    parameters.set(`${name}.weight`, [size]);
    if (bias) parameters.set(`${name}.bias`, [size]);
    return like(x);
  };
  const notes: Builder<Noted> = {
    linear(x, weight) {
      parameters.set(`${weight.name}.weight`, [weight.out, weight.in]);
      if (weight.bias) parameters.set(`${weight.name}.bias`, [weight.out]);
      if (weight.dense) return like(x);
      let input = inputOf.get(x);
      if (input === undefined) {
        input = inputs.push({ columns: weight.in, gathered: x.gathered }) - 1;
        inputOf.set(x, input);
      }
      linears.push({ ...weight, input });
      return like(x);
    },
    rmsNorm: norm,
    layerNorm: norm,
    rope: like,
    attention(q, _k, _v, shape) {
      attentions.push(shape);
      return like(q);
    },
    positions({ name, rows, size }) {
      parameters.set(`${name}.weight`, [rows, size]);
      return { gathered: false };
    },
    add: like,
    mul: like,
    scale: like,
    softCap: like,
    silu: like,
    gelu: like,
    geluTanh: like,
    relu: like,
    route: like,
    gather: () => ({ gathered: true }),
    scatter: () => ({ gathered: false }),
  };
  program.build(notes, { gathered: false });
  return { linears, parameters, inputs, attentions };
}
