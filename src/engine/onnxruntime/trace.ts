import { paddedHead } from "../cache.js";
import { describe } from "../describe.js";
import type { Observable } from "../engine.js";
import type { AttentionShape, Builder, Program } from "../operations.js";
import { attentionInputs, attentionNames, type SlidingWindow } from "./attention.js";
import { cacheEdges, cacheValues } from "./cached-attention.js";
import { bandName, bandsOf } from "./gram.js";
import { type Attribute, CONTRIBUTED, type Constant, type Graph, type Node, ONNX_TYPE, type Value } from "./onnx.js";

/**
 * A program as an ONNX graph. Its inputs are `x` [windows, tokens, in], the parameters by their names, and the tables
 * listed here, which depend on how many tokens a window has.
 */
export interface Traced {
  readonly graph: Graph;
  /** Each needs inputs `cos.<i>` and `sin.<i>`, [windows, tokens, frequencies.length]. */
  readonly ropes: readonly (readonly number[])[];
  /** Kinds of attention of whole windows; each needs the inputs that `attentionTables` makes. */
  readonly slidingWindows: readonly SlidingWindow[];
}

/** The name of a program's output, [rows, out]. */
export const OUTPUT = "y";

/** An input of graphs that sum squares: [groups, rows a group], whose product is the number of rows. */
export const GROUPS = "groups";

/** The name of the sum of squares of a linear input, [in]. */
export const observedName = (input: number): string => `observed.${input}`;

/** What a graph ends in: the program's output, that of tokens that extend a cache, or statistics of the linears' inputs. */
export type Purpose = "run" | "extend" | Observable;

/**
 * Traces a program: runs it over names of graph edges. Attention of whole windows goes over the queries in so many
 * `chunks`. The graph holds nothing that its outputs do not need.
 */
export function trace(program: Program, purpose: Purpose, chunks: number): Traced {
  const nodes: Node[] = [];
  const constants = new Map<string, Constant>();
  const inputs: Value[] = [{ name: "x", type: "float", shape: ["windows", "tokens", program.columns.in] }];
  const ropes: (readonly number[])[] = [];
  const slidingWindows = new Set<SlidingWindow>();
  let attentions = 0;
  const observed: string[] = [];

  const node = (op: string, from: readonly string[], attributes: Record<string, Attribute> = {}): string => {
    const output = `edge.${nodes.length}`;
    nodes.push({ op, inputs: from, outputs: [output], attributes });
    return output;
  };
  const integers = (...values: number[]): string => {
    const name = `integers.${values.join(",")}`;
    constants.set(name, { name, type: "int64", shape: [values.length], values });
    return name;
  };
  const one = (): string => {
    constants.set("one", { name: "one", type: "float", shape: [], values: [1] });
    return "one";
  };
  const parameter = (name: string, ...shape: number[]): string => {
    inputs.push({ name, type: "float", shape });
    return name;
  };
  const rows = (edge: string, columns: number) => node("Reshape", [edge, integers(-1, columns)]);
  let windowsAndTokens: string | undefined;
  const windows = (edge: string, columns: number): string => {
    windowsAndTokens ??= node("Shape", ["x"], { end: 2 });
    return node("Reshape", [edge, node("Concat", [windowsAndTokens, integers(columns)], { axis: 0 })]);
  };
  const rotation = (frequencies: readonly number[]): [string, string] => {
    const key = JSON.stringify(frequencies);
    let index = ropes.findIndex((known) => JSON.stringify(known) === key);
    if (index < 0) {
      index = ropes.push(frequencies) - 1;
      for (const table of ["cos", "sin"]) {
        inputs.push({ name: `${table}.${index}`, type: "float", shape: ["windows", "tokens", frequencies.length] });
      }
    }
    return [`cos.${index}`, `sin.${index}`];
  };
  const tokensBetween = (edge: string, from: string, to: string) => node("Slice", [edge, from, to, integers(1)]);

  const attendWindows = (q: string, k: string, v: string, shape: AttentionShape): string => {
    const { heads, keyValueHeads, headSize, scale, window } = shape;
    slidingWindows.add(window);
    const query = windows(q, heads * headSize);
    const [key, value] = [k, v].map((edge) => windows(edge, keyValueHeads * headSize)) as [string, string];
    const mixed = Array.from({ length: chunks }, (_, chunk) => {
      const { first, begin, end, mask } = attentionNames(window, chunk);
      const from = [
        tokensBetween(query, begin, end),
        tokensBetween(key, first, end),
        tokensBetween(value, first, end),
        mask,
      ];
      return node("Attention", from, { q_num_heads: heads, kv_num_heads: keyValueHeads, scale: { float: scale } });
    });
    return rows(chunks > 1 ? node("Concat", mixed, { axis: 1 }) : mixed[0]!, heads * headSize);
  };
  const attendCached = (q: string, k: string, v: string, shape: AttentionShape): string => {
    const { heads, keyValueHeads, headSize, scale, window } = shape;
    const size = paddedHead(shape);
    const padded = (edge: string, count: number): string => {
      if (size === headSize) return windows(edge, count * size);
      const apart = node("Reshape", [edge, integers(-1, count, headSize)]);
      return windows(node("Pad", [apart, integers(0, 0, 0, 0, 0, size - headSize)]), count * size);
    };
    const { inputs: cached, outputs: extended } = cacheEdges(attentions++);
    const attended = `edge.${nodes.length}.attended`;
    nodes.push({
      op: "GroupQueryAttention",
      domain: CONTRIBUTED,
      inputs: [padded(q, heads), padded(k, keyValueHeads), padded(v, keyValueHeads), ...cached],
      outputs: [attended, ...extended],
      attributes: {
        num_heads: heads,
        kv_num_heads: keyValueHeads,
        scale: { float: scale },
        local_window_size: window ?? -1,
      },
    });
    if (size === headSize) return rows(attended, heads * size);
    const apart = node("Reshape", [attended, integers(-1, heads, size)]);
    return rows(node("Slice", [apart, integers(0), integers(headSize), integers(2)]), heads * headSize);
  };

  const builder: Builder<string> = {
    linear(x, weight) {
      if (!observed.includes(x)) observed.push(x);
      const from = [x, parameter(`${weight.name}.weight`, weight.out, weight.in)];
      if (weight.bias) from.push(parameter(`${weight.name}.bias`, weight.out));
      return node("Gemm", from, { transB: 1 });
    },
    rmsNorm: (x, weight, epsilon) =>
      node("RMSNormalization", [x, parameter(`${weight.name}.weight`, weight.size)], {
        axis: -1,
        epsilon: { float: epsilon },
      }),
    rope(x, { heads, headSize, frequencies }) {
      const rotated = node("RotaryEmbedding", [windows(x, heads * headSize), ...rotation(frequencies)], {
        num_heads: heads,
      });
      return rows(rotated, heads * headSize);
    },
    attention: (q, k, v, shape) =>
      purpose === "extend" ? attendCached(q, k, v, shape) : attendWindows(q, k, v, shape),
    add: (a, b) => node("Add", [a, b]),
    mul: (a, b) => node("Mul", [a, b]),
    // Not by Sigmoid: onnxruntime's is right to 1e-7 of 1 only, which for silu(-10) = -0.00045 is wrong in the fourth digit.
    silu: (x) => node("Div", [x, node("Add", [node("Exp", [node("Neg", [x])]), one()])]),
  };

  // Sums of squares of a few rows each in float32, then all of them in float64: one long float32 sum would choose other
  // weights to prune where two scores are close, and what that changes grows from block to block.
  const partialSums = (edge: string, columns: number): string => {
    if (!inputs.some(({ name }) => name === GROUPS)) inputs.push({ name: GROUPS, type: "int64", shape: [2] });
    const grouped = node("Reshape", [edge, node("Concat", [GROUPS, integers(columns)], { axis: 0 })]);
    const sums = node("ReduceSumSquare", [grouped, integers(1)], { keepdims: 0 });
    return node("Cast", [sums], { to: ONNX_TYPE.double });
  };

  const gramBands = (edge: string, input: number, size: number): Value[] => {
    const bands = bandsOf(size);
    const columns = bands.map((_, band) => `${edge}.columns.${band}`);
    const sizes = integers(...bands.map(({ from, to }) => to - from));
    nodes.push({ op: "Split", inputs: [edge, sizes], outputs: columns, attributes: { axis: 1 } });
    return bands.map(({ from, to }, band) => {
      const products = columns.slice(0, band + 1).map((left) => node("Gemm", [columns[band]!, left], { transA: 1 }));
      const name = bandName(input, band);
      nodes.push({ op: "Concat", inputs: products, outputs: [name], attributes: { axis: 1 } });
      return { name, type: "float", shape: [to - from, to] };
    });
  };

  const result = program.build(builder, rows("x", program.columns.in));
  const outputs: Value[] = [];
  if (purpose === "run" || purpose === "extend") {
    nodes.push({ op: "Identity", inputs: [result], outputs: [OUTPUT] });
    outputs.push({ name: OUTPUT, type: "float", shape: ["rows", program.columns.out] });
  } else {
    for (const [i, size] of describe(program).inputs.entries()) {
      if (purpose === "gram") {
        outputs.push(...gramBands(observed[i]!, i, size));
      } else {
        const name = observedName(i);
        nodes.push({
          op: "ReduceSum",
          inputs: [partialSums(observed[i]!, size), integers(0)],
          outputs: [name],
          attributes: { keepdims: 0 },
        });
        outputs.push({ name, type: "double", shape: [size] });
      }
    }
  }
  if (purpose === "extend") {
    const cached = cacheValues(describe(program).attentions);
    inputs.push(...cached.inputs);
    outputs.push(...cached.outputs);
  }
  const tables = new Map([...slidingWindows].flatMap((kind) => attentionInputs(kind, chunks)).map((v) => [v.name, v]));
  inputs.push(...tables.values());
  return {
    graph: prune({ nodes, inputs, outputs, constants: [...constants.values()] }),
    ropes,
    slidingWindows: [...slidingWindows],
  };
}

/** Leaves out what no output depends on: onnxruntime would compute it all the same. */
function prune(graph: Graph): Graph {
  const needed = new Set(graph.outputs.map((output) => output.name));
  const nodes = graph.nodes
    .toReversed()
    .filter((node) => {
      if (!node.outputs.some((name) => needed.has(name))) return false;
      for (const name of node.inputs) needed.add(name);
      return true;
    })
    .toReversed();
  const isNeeded = ({ name }: { name: string }) => needed.has(name);
  return {
    nodes,
    inputs: graph.inputs.filter(isNeeded),
    outputs: graph.outputs,
    constants: graph.constants.filter(isNeeded),
  };
}
