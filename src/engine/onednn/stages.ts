import { type Graph, type Node, ONNX_TYPE, type Value } from "../onnxruntime/onnx.js";

/**
 * A graph cut at its matrix products: onnxruntime computes what lies between them. Each stage is a graph, of which all
 * inputs are known when those before it have run, and then the products of what it computed.
 */
export interface Stage {
  /** Undefined where there is nothing but products. */
  readonly graph: Graph | undefined;
  readonly products: readonly Product[];
}

/** A Gemm of the graph. */
export type Product =
  | { readonly kind: "linear"; readonly x: string; readonly weight: string; readonly bias?: string; readonly y: string }
  | { readonly kind: "gram"; readonly a: string; readonly b: string; readonly before: string; readonly y: string };

type Types = ReadonlyMap<string, Value["type"]>;

export function cutAtProducts(whole: Graph): Stage[] {
  const graph = withoutCopies(whole);
  const types = typesOf(graph);
  const stageOf = new Map<string, number>();
  const parts: { nodes: Node[]; products: Product[] }[] = [];
  for (const node of graph.nodes) {
    const stage = Math.max(0, ...node.inputs.map((name) => stageOf.get(name) ?? 0));
    while (parts.length <= stage) parts.push({ nodes: [], products: [] });
    const product = productOf(node);
    if (product) parts[stage]!.products.push(product);
    else parts[stage]!.nodes.push(node);
    for (const name of node.outputs) stageOf.set(name, product ? stage + 1 : stage);
  }
  const wanted = new Set(graph.outputs.map(({ name }) => name));
  const stages: Stage[] = [];
  // From the last stage to the first, so that it is known what those after one read.
  for (const { nodes, products } of parts.toReversed()) {
    for (const product of products) for (const name of operandsOf(product)) wanted.add(name);
    stages.unshift({ graph: nodes.length > 0 ? subgraph(graph, nodes, wanted, types) : undefined, products });
    for (const name of nodes.flatMap(({ inputs }) => inputs)) wanted.add(name);
  }
  return stages;
}

/** Of a linear the weight and bias are inputs of the whole graph; what a stage computes is x. */
function operandsOf(product: Product): string[] {
  return product.kind === "linear" ? [product.x] : [product.a, product.b];
}

function productOf({ op, inputs, outputs, attributes, exact }: Node): Product | undefined {
  if (op !== "Gemm" || exact) return undefined;
  const [first, second, third] = inputs as readonly [string, string, string?];
  const y = outputs[0]!;
  if (attributes?.["transA"]) return { kind: "gram", a: first, b: second, before: third!, y };
  return { kind: "linear", x: first, weight: second, y, ...(third !== undefined && { bias: third }) };
}

/** Lets a product that an output only copies be that output. */
function withoutCopies(graph: Graph): Graph {
  const products = new Set(graph.nodes.filter(productOf).flatMap(({ outputs }) => outputs));
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const renamed = new Map<string, string>();
  const nodes = graph.nodes.filter(({ op, inputs: [from], outputs: [to] }) => {
    if (op !== "Identity" || !products.has(from!) || !outputs.has(to!) || renamed.has(from!)) return true;
    renamed.set(from!, to!);
    return false;
  });
  const rename = (names: readonly string[]) => names.map((name) => renamed.get(name) ?? name);
  return {
    ...graph,
    nodes: nodes.map((node) => ({ ...node, inputs: rename(node.inputs), outputs: rename(node.outputs) })),
  };
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
