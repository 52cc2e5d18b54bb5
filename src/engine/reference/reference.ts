import { setImmediate as breathe } from "node:timers/promises"; // lets Ctrl-C in between long computations
import { dot } from "../../tensor/dot.js";
import type { Place } from "../cache.js";
import {
  type Engine,
  type Executable,
  type Observable,
  type Rows,
  type Seen,
  seenInSegments,
  type Weights,
} from "../engine.js";
import { type AttentionShape, type Builder, type Program, type Rope, ropeAngle } from "../operations.js";
import { addGram, addSquaredNorms, linear, multiply } from "./products.js";

/** A value of the reference engine: the numbers themselves. [rows, columns] */
interface Value {
  readonly data: Float64Array;
  readonly columns: number;
}

/**
 * The executable specification: float64, one clear loop an operation, nothing fused, nothing clever.
 * Other engines are tested against it; it is slow and meant to be read.
 */
export function createReferenceEngine(): Engine {
  return {
    name: "reference",
    precision: "float64",
    version: "float64 TypeScript",
    compile: async (program) => compile(program),
    multiply: async (a, b) => multiply(a, b),
    dispose: async () => {},
  };
}

function compile(program: Program): Executable {
  return {
    async run(x, weights) {
      await breathe();
      return program.build(builder(x, weights), input(x, program)).data;
    },
    async extend(x, weights, place) {
      await breathe();
      return program.build(builder(x, weights, place), input(x, program)).data;
    },
    async observe(x, weights, what, sums) {
      await breathe();
      const seen = new Set<Value>();
      const g = builder(x, weights);
      program.build(
        {
          ...g,
          linear(value, weight) {
            if (!seen.has(value)) addTo(sums[seen.size]!, value, what);
            seen.add(value);
            return g.linear(value, weight);
          },
        },
        input(x, program),
      );
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
  const rows = x.windows * x.tokens;
  const parameter = (name: string): Float32Array => {
    const found = weights.get(name);
    if (!found) throw new Error(`no parameter ${name} was given`);
    return found;
  };
  const seen = x.segments && seenInSegments(x.segments);
  const position = (row: number) =>
    seen?.[row]?.position ?? (place?.lengths[Math.floor(row / x.tokens)] ?? 0) + (row % x.tokens);
  let attentions = 0;
  return {
    linear(value, weight) {
      const bias = weight.bias ? parameter(`${weight.name}.bias`) : undefined;
      const data = linear(value.data, rows, parameter(`${weight.name}.weight`), bias, weight.in, weight.out);
      return { data, columns: weight.out };
    },
    rmsNorm(value, weight, epsilon) {
      const { size } = weight;
      const w = parameter(`${weight.name}.weight`);
      const data = new Float64Array(value.data.length);
      for (let from = 0; from < data.length; from += size) {
        const scale = 1 / Math.sqrt(dot(value.data, from, value.data, from, size) / size + epsilon);
        for (let j = 0; j < size; j++) data[from + j] = value.data[from + j]! * scale * w[j]!;
      }
      return { data, columns: size };
    },
    rope: (value, shape) => rope(value, shape, position),
    attention: (q, k, v, shape) => attention(q, shape, x, remembered(k, v, shape, x, attentions++, place), seen),
    add: (a, b) => elementwise(a, (value, i) => value + b.data[i]!),
    mul: (a, b) => elementwise(a, (value, i) => value * b.data[i]!),
    silu: (a) => elementwise(a, (value) => value / (1 + Math.exp(-value))),
  };
}

function elementwise(a: Value, compute: (value: number, index: number) => number): Value {
  const data = new Float64Array(a.data.length);
  for (let i = 0; i < data.length; i++) data[i] = compute(a.data[i]!, i);
  return { data, columns: a.columns };
}

function rope(value: Value, { heads, headSize, frequencies }: Rope, positionOf: (row: number) => number): Value {
  const data = new Float64Array(value.data.length);
  const half = headSize / 2;
  for (let row = 0; row * value.columns < data.length; row++) {
    const position = positionOf(row);
    for (let i = 0; i < half; i++) {
      const angle = ropeAngle(position, frequencies[i]!);
      const cos = Math.cos(angle);
      const sin = Math.sin(angle);
      for (let head = 0; head < heads; head++) {
        const at = row * value.columns + head * headSize + i;
        const low = value.data[at]!;
        const high = value.data[at + half]!;
        data[at] = low * cos - high * sin;
        data[at + half] = high * cos + low * sin;
      }
    }
  }
  return { data, columns: value.columns };
}

/** Where the keys and values that a window's tokens see begin: of token s, `at(window, head, s)`; `past` came before. */
interface Memory {
  readonly keys: Float64Array;
  readonly values: Float64Array;
  readonly at: (window: number, head: number, token: number) => number;
  readonly past: (window: number) => number;
}

/** The new keys and values as they are, or among those of the cache, to which they are added. */
function remembered(
  k: Value,
  v: Value,
  { keyValueHeads, headSize }: AttentionShape,
  { windows, tokens }: Rows,
  attention: number,
  place: Place | undefined,
): Memory {
  const inRows = (window: number, head: number, token: number) =>
    (window * tokens + token) * k.columns + head * headSize;
  if (!place) return { keys: k.data, values: v.data, at: inRows, past: () => 0 };
  const { keys, values, size } = place.cache.attentions[attention]!;
  const at = (window: number, head: number, token: number) =>
    (((place.first + window) * keyValueHeads + head) * place.cache.capacity + token) * size;
  const past = (window: number) => place.lengths[window]!;
  for (let window = 0; window < windows; window++) {
    for (let head = 0; head < keyValueHeads; head++) {
      for (let t = 0; t < tokens; t++) {
        const from = inRows(window, head, t);
        const to = at(window, head, past(window) + t);
        keys.set(k.data.subarray(from, from + headSize), to);
        values.set(v.data.subarray(from, from + headSize), to);
      }
    }
  }
  return { keys: keys as Float64Array, values: values as Float64Array, at, past };
}

function attention(
  q: Value,
  shape: AttentionShape,
  { windows, tokens }: Rows,
  memory: Memory,
  seen: readonly Seen[] | undefined,
): Value {
  const { heads, keyValueHeads, headSize, scale, window: span = memory.keys.length } = shape;
  const { keys, values, at } = memory;
  const data = new Float64Array(q.data.length);
  for (let window = 0; window < windows; window++) {
    const past = memory.past(window);
    const scores = new Float64Array(past + tokens);
    for (let t = past; t < past + tokens; t++) {
      const visible = rowsSeen(seen?.[t]?.ranges ?? [[0, t + 1]]).slice(-span);
      for (let head = 0; head < heads; head++) {
        const shared = Math.floor(head / (heads / keyValueHeads));
        const query = (window * tokens + t - past) * q.columns + head * headSize;
        let max = Number.NEGATIVE_INFINITY;
        for (const s of visible) {
          scores[s] = dot(q.data, query, keys, at(window, shared, s), headSize) * scale;
          max = Math.max(max, scores[s]!);
        }
        let total = 0;
        for (const s of visible) {
          scores[s] = Math.exp(scores[s]! - max);
          total += scores[s]!;
        }
        for (const s of visible) {
          const share = scores[s]! / total;
          const value = at(window, shared, s);
          for (let i = 0; i < headSize; i++) data[query + i]! += share * values[value + i]!;
        }
      }
    }
  }
  return { data, columns: q.columns };
}

/** The rows of ranges, one after the other. */
function rowsSeen(ranges: Seen["ranges"]): number[] {
  return ranges.flatMap(([from, to]) => Array.from({ length: to - from }, (_, i) => from + i));
}
