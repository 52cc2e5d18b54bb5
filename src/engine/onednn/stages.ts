import { type Graph, type Node, neededNodes, ONNX_TYPE, type Value } from "../onnxruntime/onnx.js";
import { operandsOf, type Whole } from "../onnxruntime/whole.js";
import { type After, othersOf } from "./after.js";

/**
 * A graph cut into what is computed here and what onnxruntime computes. Each stage is a graph, of which all inputs are known
 * when the stages before it have run, and then steps over what is known by then.
 */
export interface Stage {
  /** Undefined where there are only steps. */
  readonly graph: Graph | undefined;
  readonly steps: readonly Step[];
}

/** A linear, which is a Gemm of the graph, or an operation that several nodes make up. */
export type Step = Linear | Exclude<Whole, { readonly kind: "silu" }>;

interface Linear {
  readonly kind: "linear";
  readonly x: string;
  readonly weight: string;
  readonly bias?: string;
  readonly after?: After<string>;
  readonly y: string;
}

type Types = ReadonlyMap<string, Value["type"]>;

/** In the order of the graph. */
type Work = Node | Step;

/** What a step reads, but for parameters, tables and sums. */
export function readBy(step: Step): string[] {
  return step.kind === "linear" ? [step.x, ...othersOf(step.after)] : operandsOf(step);
}

/** Cuts at products, and at the operations of these kinds; a silu is only ever a part of a product. */
export function cutIntoStages(graph: Graph, kinds: ReadonlySet<Whole["kind"]>): Stage[] {
  const parts: { nodes: Node[]; steps: Step[] }[] = [];
  // The first stage whose steps, and whose graph, may read a value.
  const steps = new Map<string, number>();
  const graphs = new Map<string, number>();
  for (const one of takeSteps(graph, kinds)) {
    const [reads, ready] = isNode(one) ? [one.inputs, graphs] : [readBy(one), steps];
    const stage = Math.max(0, ...reads.map((name) => ready.get(name) ?? 0));
    while (parts.length <= stage) parts.push({ nodes: [], steps: [] });
    if (isNode(one)) parts[stage]!.nodes.push(one);
    else parts[stage]!.steps.push(one);
    for (const name of isNode(one) ? one.outputs : [one.y]) {
      steps.set(name, stage);
      graphs.set(name, isNode(one) ? stage : stage + 1);
    }
  }
  const types = typesOf(graph);
  const wanted = new Set(graph.outputs.map(({ name }) => name));
  const stages: Stage[] = [];
  // From the last stage to the first, so that it is known what those after one read.
  for (const part of parts.toReversed()) {
    for (const name of part.steps.flatMap(readBy)) wanted.add(name);
    const { nodes } = neededNodes(part.nodes, wanted);
    stages.unshift({ graph: nodes.length > 0 ? subgraph(graph, nodes, wanted, types) : undefined, steps: part.steps });
    for (const name of nodes.flatMap(({ inputs }) => inputs)) wanted.add(name);
  }
  return stages;
}

function isNode(work: Work): work is Node {
  return "op" in work;
}

/**
 * The nodes with steps in place of those that are computed here. A linear also does what follows it, where nobody else
 * reads what it puts out: silu, or the product or sum with another value. It then stands where that stood.
 */
function takeSteps({ nodes, outputs }: Graph, kinds: ReadonlySet<Whole["kind"]>): Work[] {
  const readers = new Map<string, Set<Node | Whole>>();
  for (const node of nodes) {
    for (const name of node.inputs) readers.set(name, (readers.get(name) ?? new Set()).add(node.whole ?? node));
  }
  const isOutput = new Set(outputs.map(({ name }) => name));
  const work: (Work | undefined)[] = [];
  const linears = new Map<string, number>();
  const add = (one: Work) => {
    const at = work.push(one) - 1;
    if (!isNode(one) && one.kind === "linear") linears.set(one.y, at);
  };
  /** The linear that alone makes this value for one reader alone. */
  const linearOf = (name: string): Linear | undefined => {
    const at = linears.get(name);
    const linear = at === undefined ? undefined : (work[at] as Linear);
    return linear?.after || isOutput.has(name) || readers.get(name)?.size !== 1 ? undefined : linear;
  };
  const extend = (linear: Linear, after: Linear["after"], y: string) => {
    work[linears.get(linear.y)!] = undefined;
    add({ ...linear, ...(after && { after }), y });
  };
  const last = new Map(nodes.map((node, i) => [node.whole, i] as const));
  for (const [i, node] of nodes.entries()) {
    const { whole } = node;
    const linear = whole?.kind === "silu" ? linearOf(whole.x) : undefined;
    if (whole?.kind === "silu" ? linear : whole && kinds.has(whole.kind)) {
      if (last.get(whole) !== i) continue;
      if (linear) extend(linear, "silu", whole!.y);
      else if (whole!.kind === "multiply" || whole!.kind === "add") pairwise(whole!);
      else add(whole as Step);
    } else {
      add(
        node.op === "Identity"
          ? { kind: "alias", x: node.inputs[0]!, y: node.outputs[0]! }
          : (linearFrom(node) ?? node),
      );
    }
  }
  return work.flatMap((one) => one ?? []);

  function pairwise(whole: Whole & { kind: "add" | "multiply" }): void {
    const { a, b, y } = whole;
    const linear = linearOf(b) ?? linearOf(a);
    if (!linear || a === b) {
      add(whole);
      return;
    }
    const other = linear.y === b ? a : b;
    extend(linear, whole.kind === "add" ? { plus: other } : { times: other }, y);
  }
}

function linearFrom({ op, inputs, outputs, exact }: Node): Linear | undefined {
  if (op !== "Gemm" || exact) return undefined;
  const [x, weight, bias] = inputs as readonly [string, string, string?];
  return { kind: "linear", x, weight, y: outputs[0]!, ...(bias !== undefined && { bias }) };
}

function subgraph(graph: Graph, nodes: readonly Node[], wanted: ReadonlySet<string>, types: Types): Graph {
  const made = new Set(nodes.flatMap(({ outputs }) => outputs));
  const read = new Set(nodes.flatMap(({ inputs }) => inputs));
  const constants = graph.constants.filter(({ name }) => read.has(name));
  const known = new Map([...graph.inputs, ...graph.outputs].map((value) => [value.name, value]));
  const value = (name: string): Value => known.get(name) ?? { name, type: types.get(name)! };
  const isConstant = (name: string) => constants.some((constant) => constant.name === name);
  return {
    nodes,
    inputs: [...read].filter((name) => name !== "" && !made.has(name) && !isConstant(name)).map(value),
    outputs: [...made].filter((name) => wanted.has(name)).map(value),
    constants,
  };
}

/** The element type of every edge: mostly that of what it is computed from. */
function typesOf({ nodes, inputs, constants }: Graph): Types {
  const types = new Map<string, Value["type"]>([...inputs, ...constants].map(({ name, type }) => [name, type]));
  for (const { op, inputs, outputs, attributes } of nodes) {
    for (const [i, name] of outputs.entries()) types.set(name, outputType(op, i, types.get(inputs[0]!)!, attributes));
  }
  return types;
}

function outputType(op: string, index: number, input: Value["type"], attributes: Node["attributes"]): Value["type"] {
  if (op === "Shape" || op === "NonZero" || (op === "TopK" && index === 1)) return "int64";
  if (op === "ConstantOfShape") return "float";
  if (op !== "Cast") return input;
  const [type] = Object.entries(ONNX_TYPE).find(([, number]) => number === attributes?.["to"])!;
  return type as Value["type"];
}
