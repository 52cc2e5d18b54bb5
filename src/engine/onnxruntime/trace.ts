import { cachedAttention } from "../cache.js";
import { describe } from "../describe.js";
import type { Observable } from "../engine.js";
import type { Builder, Norm, Program, Rotation } from "../operations.js";
import { type AttentionKind, attendWindows, attentionInputs } from "./attention.js";
import { attendCached, PROJECTED } from "./cached-attention.js";
import { expertNodes } from "./experts.js";
import { createNodes, type Nodes } from "./nodes.js";
import { statisticNodes } from "./observed.js";
import { type Graph, neededNodes, type Value } from "./onnx.js";

/**
 * A program as an ONNX graph. Its inputs are `x` [windows, tokens, in], the parameters by their names, and the tables
 * listed here, which depend on how many tokens a window has.
 */
export interface Traced {
  readonly graph: Graph;
  /** Each needs inputs `cos.<i>` and `sin.<i>`, [windows, tokens, frequencies.length]. */
  readonly rotations: readonly Rotation[];
  /** Offsets of position tables; each needs the input `positionsName(offset)`. */
  readonly offsets: readonly number[];
  /** Kinds of attention of whole windows; each needs the inputs that `attentionTables` makes. */
  readonly attentionKinds: readonly AttentionKind[];
}

/** The name of a program's output, [rows, out]. */
export const OUTPUT = "y";

/** The name of the rows' positions plus an offset, [rows]. */
export const positionsName = (offset: number): string => `positions.${offset}`;

/**
 * What a graph ends in: the program's output; the queries, keys and values of tokens that extend a cache, and their output
 * once these are in the cache; or statistics of the linears' inputs.
 */
export type Purpose = "run" | "project" | "extend" | Observable;

/**
 * Traces a program: runs it over names of graph edges. Attention of whole windows goes over the queries in so many
 * `chunks`. The graph holds nothing that its outputs do not need.
 */
export function trace(program: Program, purpose: Purpose, chunks: number): Traced {
  const g = createNodes(program);
  const { node, nodes, inputs, floats, parameter } = g;
  const kinds = new Map<string, AttentionKind>();
  const offsets = new Set<number>();
  const observed: string[] = [];
  let projected: readonly string[] = [];

  const builder: Builder<string> = {
    linear(x, weight) {
      if (!observed.includes(x) && !weight.dense) observed.push(x);
      const from = [x, parameter(`${weight.name}.weight`, weight.out, weight.in)];
      if (weight.bias) from.push(parameter(`${weight.name}.bias`, weight.out));
      return node("Gemm", from, { transB: 1 }, weight.dense);
    },
    rmsNorm(x, norm, epsilon) {
      const { size, offset = 0 } = norm;
      return g.whole({ kind: "rmsNorm", x, weight: `${norm.name}.weight`, offset, size, epsilon }, () =>
        byHeads(g, x, norm, (edge) => node("RMSNormalization", [edge, normWeight(g, norm)], normAttributes(epsilon))),
      );
    },
    layerNorm: (x, norm, epsilon) =>
      byHeads(g, x, norm, (edge) => {
        const bias = norm.bias ? [parameter(`${norm.name}.bias`, norm.size)] : [];
        return node("LayerNormalization", [edge, normWeight(g, norm), ...bias], normAttributes(epsilon));
      }),
    rope(x, { heads, headSize, interleaved, ...rotation }) {
      const pairs = rotation.frequencies.length;
      const [cos, sin] = g.rotation(rotation);
      const rotate = () => {
        const rotated = node("RotaryEmbedding", [g.windows(x, heads * headSize), cos, sin], {
          num_heads: heads,
          ...(interleaved && { interleaved: 1 }),
          ...(2 * pairs < headSize && { rotary_embedding_dim: 2 * pairs }),
        });
        return g.rows(rotated, heads * headSize);
      };
      return interleaved ? rotate() : g.whole({ kind: "rope", x, cos, sin, heads, headSize, pairs }, rotate);
    },
    attention(q, k, v, shape) {
      if (purpose === "extend") return attendCached(g, shape);
      if (purpose === "project") {
        projected = [q, k, v];
        return q; // nothing that follows is needed
      }
      const kind = { window: shape.window, distances: shape.slopes !== undefined };
      kinds.set(JSON.stringify(kind), kind);
      return attendWindows(g, q, k, v, shape, chunks);
    },
    positions({ name, rows, size, offset }) {
      offsets.add(offset);
      const positions = g.table({ name: positionsName(offset), type: "int64", shape: ["rows"] });
      return node("Gather", [parameter(`${name}.weight`, rows, size), positions], { axis: 0 });
    },
    add: (a, b) => g.whole({ kind: "add", a, b }, () => node("Add", [a, b])),
    mul: (a, b) => g.whole({ kind: "multiply", a, b }, () => node("Mul", [a, b])),
    scale: (x, factor) => node("Mul", [x, floats([factor])]),
    softCap: (x, cap) => node("Mul", [node("Tanh", [node("Div", [x, floats([cap])])]), floats([cap])]),
    // Not by Sigmoid: onnxruntime's is right to 1e-7 of 1 only, which for silu(-10) = -0.00045 is wrong in the fourth digit.
    silu: (x) =>
      g.whole({ kind: "silu", x }, () => node("Div", [x, node("Add", [node("Exp", [node("Neg", [x])]), floats([1])])])),
    gelu: (x) => node("Gelu", [x]),
    geluTanh: (x) => node("Gelu", [x], { approximate: "tanh" }),
    relu: (x) => node("Relu", [x]),
    ...expertNodes(g),
  };

  const rows = g.whole({ kind: "alias", x: "x" }, () => g.rows("x", program.columns.in));
  const result = program.build(builder, rows);
  const outputs: Value[] = [];
  const described = describe(program);
  if (purpose === "run" || purpose === "extend") {
    nodes.push({ op: "Identity", inputs: [result], outputs: [OUTPUT] });
    outputs.push({ name: OUTPUT, type: "float", shape: ["rows", program.columns.out] });
  } else if (purpose === "project") {
    const { heads, keyValueHeads, headSize } = cachedAttention(program);
    for (const [i, name] of PROJECTED.entries()) {
      nodes.push({ op: "Identity", inputs: [projected[i]!], outputs: [name] });
      outputs.push({ name, type: "float", shape: ["rows", (i === 0 ? heads : keyValueHeads) * headSize] });
    }
  } else {
    for (const [i, input] of described.inputs.entries()) {
      outputs.push(...statisticNodes(g, purpose, observed[i]!, i, input));
    }
  }
  for (const value of [...kinds.values()].flatMap((kind) => attentionInputs(kind, chunks))) g.table(value);
  return {
    graph: prune({ nodes, inputs, outputs, constants: [...g.constants.values()] }),
    rotations: g.rotations,
    offsets: [...offsets],
    attentionKinds: [...kinds.values()],
  };
}

function normAttributes(epsilon: number) {
  return { axis: -1, epsilon: { float: epsilon } };
}

function normWeight({ node, floats, parameter }: Nodes, { name, size, offset }: Norm): string {
  const weight = parameter(`${name}.weight`, size);
  return offset ? node("Add", [weight, floats([offset])]) : weight;
}

/** Norms of heads are norms of shorter rows, more of them. */
function byHeads(g: Nodes, x: string, { size, heads }: Norm, norm: (edge: string) => string): string {
  return heads === undefined ? norm(x) : g.rows(norm(g.rows(x, size)), heads * size);
}

/** Leaves out what no output depends on: onnxruntime would compute it all the same. */
function prune(graph: Graph): Graph {
  const { nodes, names } = neededNodes(graph.nodes, new Set(graph.outputs.map(({ name }) => name)));
  const isNeeded = ({ name }: { name: string }) => names.has(name);
  return {
    nodes,
    inputs: graph.inputs.filter(isNeeded),
    outputs: graph.outputs,
    constants: graph.constants.filter(isNeeded),
  };
}
