import type { AttentionShape, Builder, Linear, Norm, Program } from "./operations.js";

/** What a program needs to be given, found by running it over a builder that only takes notes. */
export interface Description {
  /**
   * The linears that may be compressed. `input` numbers the distinct matrices that they read: q, k and v share one. `share`
   * is how many of a window's rows they see, on the average over experts: 1 where all go through them. `isRead`: some
   * linear's input depends on it, so that it has to be computed to observe the inputs.
   */
  readonly linears: readonly (Linear & { readonly input: number; readonly share: number; readonly isRead: boolean })[];
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
  /** What it was made of. */
  readonly from: readonly Noted[];
  /** The linear that made it. */
  readonly linear?: string;
}

/** Lists a program's parameters and which of its linears read the same input. */
export function describe(program: Program): Description {
  const linears: (Linear & { input: number; share: number })[] = [];
  const parameters = new Map<string, readonly number[]>();
  const inputs: LinearInput[] = [];
  const attentions: AttentionShape[] = [];
  const inputOf = new Map<Noted, number>();
  let gatheredShare = 1;
  const of = (...from: readonly Noted[]): Noted => ({ gathered: from[0]!.gathered, from });
  const like = (x: Noted): Noted => of(x);
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
      linears.push({ ...weight, input, share: x.gathered ? gatheredShare : 1 });
      return { ...of(x), linear: weight.name };
    },
    rmsNorm: norm,
    layerNorm: norm,
    rope: like,
    attention(q, k, v, shape) {
      attentions.push(shape);
      return of(q, k, v);
    },
    positions({ name, rows, size }) {
      parameters.set(`${name}.weight`, [rows, size]);
      return { gathered: false, from: [] };
    },
    add: of,
    mul: of,
    scale: like,
    softCap: like,
    silu: like,
    gelu: like,
    geluTanh: like,
    relu: like,
    route(logits, { chosen, experts }) {
      gatheredShare = chosen / experts;
      return like(logits);
    },
    gather: (x, routes) => ({ ...of(x, routes), gathered: true }),
    scatter: (x, routes) => ({ ...of(x, routes), gathered: false }),
  };
  program.build(notes, { gathered: false, from: [] });
  const read = linearsBefore([...inputOf.keys()]);
  return {
    linears: linears.map((linear) => ({ ...linear, isRead: read.has(linear.name) })),
    parameters,
    inputs,
    attentions,
  };
}

/** The linears that values depend on, by name. */
function linearsBefore(values: readonly Noted[]): ReadonlySet<string> {
  const seen = new Set(values); // grows while it is walked through
  const names = new Set<string>();
  for (const { from, linear } of seen) {
    if (linear !== undefined) names.add(linear);
    for (const value of from) seen.add(value);
  }
  return names;
}
