import { setImmediate as breathe } from "node:timers/promises"; // lets Ctrl-C in between long computations
import type { Place } from "../cache.js";
import { describe } from "../describe.js";
import { type Engine, type Executable, type Observable, type Rows, seenInSegments, type Weights } from "../engine.js";
import type { Builder, Program } from "../operations.js";
import { attention, remembered } from "./attention.js";
import { addGram, addSquaredNorms, linear, multiply } from "./products.js";
import { elementwise, gather, gelu, geluTanh, normalise, rope, route, scatter, silu, type Value } from "./value.js";

/**
 * The executable specification: float64, one clear loop an operation, nothing fused, nothing clever.
 * Other engines are tested against it; it is slow and meant to be read.
 */
export function createReferenceEngine(): Engine {
  return {
    name: "reference",
    precision: "float64",
    device: "cpu",
    threads: 1,
    version: "float64 TypeScript",
    packedBytes: 0,
    takesBfloat16: false,
    takesShared: false,
    compile: async (program) => compile(program),
    multiply: async (a, b) => multiply(a, b),
    dispose: async () => {},
  };
}

function compile(program: Program): Executable {
  return {
    lanes: 1,
    async run(x, weights) {
      await breathe();
      return program.build(builder(x, weights), input(x, program)).data;
    },
    async extend(x, weights, place) {
      await breathe();
      return program.build(builder(x, weights, place), input(x, program)).data;
    },
    observe(what) {
      const sums = describe(program).inputs.map(
        ({ columns }) => new Float64Array(what === "gram" ? columns * columns : columns),
      );
      return {
        lanes: 1,
        async add(x, weights) {
          await breathe();
          const seen = new Set<Value>();
          const g = builder(x, weights);
          program.build(
            {
              ...g,
              linear(value, weight) {
                if (!seen.has(value) && !weight.dense) {
                  addTo(sums[seen.size]!, value, what);
                  seen.add(value);
                }
                return g.linear(value, weight);
              },
            },
            input(x, program),
          );
          return Array.from(seen, ({ data, columns }) => data.length / columns);
        },
        sums: () => sums,
      };
    },
  };
}

function input(x: Rows, program: Program): Value {
  return { data: Float64Array.from(x.data), columns: program.columns.in };
}

function addTo(sum: Float64Array, { data, columns }: Value, what: Observable): void {
  if (what === "gram") addGram(sum, data, columns);
  else addSquaredNorms(sum, data, columns);
}

/** Calling a program with this builder is running it. Without a place, every window is a sequence of its own. */
function builder(x: Rows, weights: Weights, place?: Place): Builder<Value> {
  const parameter = (name: string): Float32Array => {
    const found = weights.get(name);
    if (!(found instanceof Float32Array)) throw new Error(`no parameter ${name} was given in float32`);
    return found;
  };
  const seen = x.segments && seenInSegments(x.segments);
  const position = (row: number) =>
    seen?.[row]?.position ?? (place?.lengths[Math.floor(row / x.tokens)] ?? 0) + (row % x.tokens);
  return {
    linear(value, weight) {
      const bias = weight.bias ? parameter(`${weight.name}.bias`) : undefined;
      const rows = value.data.length / value.columns;
      const data = linear(value.data, rows, parameter(`${weight.name}.weight`), bias, weight.in, weight.out);
      return { data, columns: weight.out };
    },
    rmsNorm: (value, norm, epsilon) =>
      normalise(value, norm, parameter(`${norm.name}.weight`), undefined, epsilon, false),
    layerNorm(value, norm, epsilon) {
      const bias = norm.bias ? parameter(`${norm.name}.bias`) : undefined;
      return normalise(value, norm, parameter(`${norm.name}.weight`), bias, epsilon, true);
    },
    rope: (value, shape) => rope(value, shape, position),
    attention: (q, k, v, shape) => attention(q, shape, x, remembered(k, v, shape, x, place), seen),
    positions({ name, size, offset }) {
      const table = parameter(`${name}.weight`);
      const rows = x.windows * x.tokens;
      const data = Float64Array.from(
        { length: rows * size },
        (_, i) => table[(position(Math.floor(i / size)) + offset) * size + (i % size)]!,
      );
      return { data, columns: size };
    },
    add: (a, b) => elementwise(a, (value, i) => value + b.data[i]!),
    mul: (a, b) => elementwise(a, (value, i) => value * b.data[i]!),
    scale: (a, factor) => elementwise(a, (value) => value * factor),
    softCap: (a, cap) => elementwise(a, (value) => cap * Math.tanh(value / cap)),
    silu: (a) => elementwise(a, silu),
    gelu: (a) => elementwise(a, gelu),
    geluTanh: (a) => elementwise(a, geluTanh),
    relu: (a) => elementwise(a, (value) => Math.max(value, 0)),
    route,
    gather,
    scatter,
  };
}
