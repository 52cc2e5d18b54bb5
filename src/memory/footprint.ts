import { describe } from "../engine/describe.js";
import { type Engine, weightBytes } from "../engine/engine.js";
import type { Program } from "../engine/operations.js";
import { InputError } from "../errors.js";
import type { Tokens } from "../model/batches.js";
import type { Model } from "../model/model.js";

/** What the engine's code, graphs and threads and V8's heap take beside what is counted here. */
const OVERHEAD_BYTES = 208 * 2 ** 20;
/** A limit that is asked for is rounded up to this, by half of it or more, because the same command does not take the same twice. */
const STEP_BYTES = 32 * 2 ** 20;

/** What the allocator does not give back of what runs take, as a share: seen to grow to a fifth over some layers. */
const FRAGMENTED = 0.25;

/** Experts' linears that a token goes through, at most as a rule: 8 experts of 3. */
const EXPERT_LINEARS = 24;
/** Rows of scores that attention holds at a time, and how often. */
const SCORE_ROWS = 128;
const SCORE_COPIES = 3;

/** Bytes of a number in the engine's precision. */
function numberBytes({ precision }: Pick<Engine, "precision">): number {
  return precision === "float64" ? 8 : 4;
}

/** Bytes of a program's parameters, packed by each of so many lanes. */
export function parameterBytes(program: Program, engine: Engine, lanes = 1): number {
  const numbers = [...describe(program).parameters.values()].map((shape) => shape.reduce((size, n) => size * n, 1));
  return weightBytes(engine, lanes) * sum(numbers);
}

/** Bytes of the largest layer's weights, likewise. */
export function layerBytes({ layers }: Model, engine: Engine, lanes = 1): number {
  return Math.max(...programsOf(layers).map((program) => parameterBytes(program, engine, lanes)));
}

/** About the most that a layer's run over one batch holds beside the weights: its input, its output, all that is between. */
export function runBytes({ layers, architecture }: Model, engine: Engine, batches: readonly Tokens[]): number {
  const bytes = numberBytes(engine);
  return Math.max(
    ...programsOf(layers).map((program) => {
      const { linears, inputs, attentions } = describe(program);
      const all = linears.filter(({ input }) => !inputs[input]!.gathered);
      const experts = linears.filter(({ input }) => inputs[input]!.gathered);
      const numbers =
        8 * architecture.hiddenSize +
        sum(all.map(({ out }) => out)) +
        sum(inputs.map(({ columns, gathered }) => (gathered ? 0 : columns))) +
        EXPERT_LINEARS * Math.max(0, ...experts.map(({ out }) => out));
      const heads = Math.max(0, ...attentions.map((attention) => attention.heads));
      return Math.max(
        ...batches.map(({ ids, tokens }) => {
          const scores = SCORE_COPIES * heads * Math.min(SCORE_ROWS, tokens) * ids.length;
          return (1 + FRAGMENTED) * bytes * (numbers * ids.length + scores);
        }),
      );
    }),
  );
}

/** Bytes of the batches' hidden states. */
export function hiddenBytes({ architecture }: Model, engine: Engine, batches: readonly Tokens[]): number {
  return numberBytes(engine) * architecture.hiddenSize * sum(batches.map(({ ids }) => ids.length));
}

/** What a process that works with so many bytes takes in all. */
export function processBytes(work: number): number {
  return process.memoryUsage.rss() + OVERHEAD_BYTES + work;
}

/** Throws InputError where a limit is below what is needed in any case. */
export function checkLimit(limit: number, needed: number, what: string): void {
  if (needed <= limit) return;
  const least = Math.ceil(needed / STEP_BYTES + 0.5) * (STEP_BYTES / 2 ** 20);
  throw new InputError(
    `--memory ${Math.floor(limit / 2 ** 20)}MiB: is too little to ${what}; give at least ${least}MiB`,
  );
}

/** Layers of the same shape have programs of the same key. */
function programsOf(layers: Model["layers"]): Program[] {
  return [...new Map(layers.map(({ program }) => [program.key, program])).values()];
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
