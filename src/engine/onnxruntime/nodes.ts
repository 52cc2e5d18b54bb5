import type { Program, Rotation } from "../operations.js";
import type { Constant, Node, Value } from "./onnx.js";
import type { Operation } from "./whole.js";

/** A graph in the making: what tracing a program writes to. Values are the names of edges. */
export interface Nodes {
  readonly nodes: Node[];
  readonly inputs: Value[];
  readonly constants: ReadonlyMap<string, Constant>;
  /** The rotations in use; each has inputs `cos.<i>` and `sin.<i>`, [windows, tokens, frequencies.length]. */
  readonly rotations: readonly Rotation[];
  /** Adds an operation with one output, which it names. */
  node(op: string, from: readonly string[], attributes?: Node["attributes"], exact?: Node["exact"]): string;
  /** Adds an operation with so many outputs. */
  several(op: string, from: readonly string[], outputs: number, attributes: Node["attributes"]): string[];
  /** Adds nodes that are one operation, whose result `make` returns. */
  whole(operation: Operation, make: () => string): string;
  /** A constant list. */
  integers(...values: readonly number[]): string;
  /** A constant; a single number has no dimensions. */
  floats(values: readonly number[], ...shape: readonly number[]): string;
  parameter(name: string, ...shape: readonly number[]): string;
  /** An input that is no parameter; the same name is the same input. */
  table(value: Value): string;
  /** The inputs with a rotation's cosines and sines. */
  rotation(rotation: Rotation): readonly [string, string];
  /** As [rows, columns]. */
  rows(edge: string, columns: number): string;
  /** As [windows, tokens, columns]. */
  windows(edge: string, columns: number): string;
}

export function createNodes(program: Program): Nodes {
  const nodes: Node[] = [];
  const constants = new Map<string, Constant>();
  const inputs: Value[] = [{ name: "x", type: "float", shape: ["windows", "tokens", program.columns.in] }];
  const rotations: Rotation[] = [];
  let windowsAndTokens: string | undefined;

  const node: Nodes["node"] = (op, from, attributes = {}, exact) => {
    const output = `edge.${nodes.length}`;
    nodes.push({ op, inputs: from, outputs: [output], attributes, ...(exact && { exact }) });
    return output;
  };
  const integers: Nodes["integers"] = (...values) => {
    const name = `integers.${values.join(",")}`;
    constants.set(name, { name, type: "int64", shape: [values.length], values });
    return name;
  };
  return {
    nodes,
    inputs,
    constants,
    rotations,
    node,
    several(op, from, count, attributes = {}) {
      const outputs = Array.from({ length: count }, (_, i) => `edge.${nodes.length}.${i}`);
      nodes.push({ op, inputs: from, outputs, attributes });
      return outputs;
    },
    integers,
    floats(values, ...shape) {
      const name = values.length === 1 && values[0] === 1 && shape.length === 0 ? "one" : `floats.${shape}.${values}`;
      constants.set(name, { name, type: "float", shape, values });
      return name;
    },
    parameter(name, ...shape) {
      inputs.push({ name, type: "float", shape });
      return name;
    },
    table(value) {
      if (!inputs.some(({ name }) => name === value.name)) inputs.push(value);
      return value.name;
    },
    rotation(rotation) {
      const key = (r: Rotation) => JSON.stringify([r.frequencies, r.amplitude]);
      let index = rotations.findIndex((known) => key(known) === key(rotation));
      if (index < 0) {
        index = rotations.push(rotation) - 1;
        for (const table of ["cos", "sin"]) {
          const shape = ["windows", "tokens", rotation.frequencies.length];
          inputs.push({ name: `${table}.${index}`, type: "float", shape });
        }
      }
      return [`cos.${index}`, `sin.${index}`];
    },
    rows: (edge, columns) => node("Reshape", [edge, integers(-1, columns)]),
    whole(operation, make) {
      const begin = nodes.length;
      const y = make();
      const whole = { ...operation, y };
      for (let i = begin; i < nodes.length; i++) {
        // The numbers of windows and tokens belong to all who ask for them.
        if (nodes[i]!.outputs[0] !== windowsAndTokens) nodes[i] = { ...nodes[i]!, whole };
      }
      return y;
    },
    windows(edge, columns) {
      windowsAndTokens ??= node("Shape", ["x"], { end: 2 });
      return node("Reshape", [edge, node("Concat", [windowsAndTokens, integers(columns)], { axis: 0 })]);
    },
  };
}
