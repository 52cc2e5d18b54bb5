import type { LinearInput } from "../describe.js";
import type { Observable } from "../engine.js";
import { bandName, bandsOf } from "./gram.js";
import type { Nodes } from "./nodes.js";
import { ONNX_TYPE, type Value } from "./onnx.js";

/** An input of graphs that sum squares: [groups, rows a group], whose product is the number of rows. */
export const GROUPS = "groups";

/** The name of the sum of squares of a linear input, [in]. */
export const observedName = (input: number): string => `observed.${input}`;

/** The name of the number of rows that a gathered input has. */
export const rowsName = (input: number): string => `rows.${input}`;

/** Adds what a linear's input is to be summed to; returns the graph's outputs for it. */
export function statisticNodes(g: Nodes, what: Observable, edge: string, input: number, of: LinearInput): Value[] {
  const outputs = what === "gram" ? gramBands(g, edge, input, of.columns) : squaredNorms(g, edge, input, of);
  if (of.gathered) {
    g.nodes.push({ op: "Shape", inputs: [edge], outputs: [rowsName(input)], attributes: { end: 1 } });
    outputs.push({ name: rowsName(input), type: "int64", shape: [1] });
  }
  return outputs;
}

// Sums of squares of a few rows each in float32, then all of them in float64: one long float32 sum would choose other
// weights to prune where two scores are close, and what that changes grows from block to block.
function squaredNorms(g: Nodes, edge: string, input: number, { columns, gathered }: LinearInput): Value[] {
  const { node, nodes, integers } = g;
  const name = observedName(input);
  const rest = { outputs: [name], attributes: { keepdims: 0 } };
  if (gathered) {
    // How many rows there are is known only when it runs.
    const double = node("Cast", [edge], { to: ONNX_TYPE.double });
    nodes.push({ op: "ReduceSumSquare", inputs: [double, integers(0)], ...rest });
  } else {
    g.table({ name: GROUPS, type: "int64", shape: [2] });
    const grouped = node("Reshape", [edge, node("Concat", [GROUPS, integers(columns)], { axis: 0 })]);
    const sums = node("ReduceSumSquare", [grouped, integers(1)], { keepdims: 0 });
    nodes.push({
      op: "ReduceSum",
      inputs: [node("Cast", [sums], { to: ONNX_TYPE.double }), integers(0)],
      ...rest,
    });
  }
  return [{ name, type: "double", shape: [columns] }];
}

function gramBands({ node, nodes, integers }: Nodes, edge: string, input: number, size: number): Value[] {
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
}
