import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { Whole } from "./whole.js";

/**
 * Writes the few parts of the ONNX format (onnx.proto, IR version 10) that a traced block needs.
 * Field numbers are onnx.proto's. Weights never go in: they are graph inputs.
 */

/** TensorProto.DataType. */
export const ONNX_TYPE = { float: 1, int64: 7, double: 11 } as const;

type OnnxType = keyof typeof ONNX_TYPE;

/** Attribute values: a whole number, a list of them, a text, or a float given as `{ float }`. */
type Attribute = number | readonly number[] | string | { readonly float: number };

export interface Node {
  readonly op: string;
  /** "" for an optional input that is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** A product that stays in float32 whatever the precision of the others. */
  readonly exact?: true;
  /** What it is a part of. */
  readonly whole?: Whole;
}

/** A graph input or output; a string in the shape is a symbolic dimension. Without a shape it may be any. */
export interface Value {
  readonly name: string;
  readonly type: OnnxType;
  readonly shape?: readonly (number | string)[];
}

export interface Constant {
  readonly name: string;
  readonly type: OnnxType;
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

export interface Graph {
  readonly nodes: readonly Node[];
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly constants: readonly Constant[];
}

/** The nodes that values depend on, in order, and the names of all values on the way. */
export function neededNodes(
  nodes: readonly Node[],
  values: ReadonlySet<string>,
): { nodes: Node[]; names: Set<string> } {
  const names = new Set(values);
  const needed = nodes.toReversed().filter(({ inputs, outputs }) => {
    if (!outputs.some((name) => names.has(name))) return false;
    for (const name of inputs) names.add(name);
    return true;
  });
  return { nodes: needed.reverse(), names };
}

const IR_VERSION = 10;
const OPSET = 23; // the first with RMSNormalization, RotaryEmbedding and Attention
const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, ints: 7 } as const;

/** The bytes of an ONNX model (ModelProto) that holds the graph. */
export function encodeModel(graph: Graph): Uint8Array {
  const writer = new BinaryWriter();
  integer(writer, 1, IR_VERSION);
  text(writer, 2, "pare");
  message(writer, 7, (w) => writeGraph(w, graph));
  message(writer, 8, (w) => integer(w, 2, OPSET));
  return writer.finish();
}

function writeGraph(writer: BinaryWriter, graph: Graph): void {
  for (const node of graph.nodes) message(writer, 1, (w) => writeNode(w, node));
  text(writer, 2, "block");
  for (const constant of graph.constants) message(writer, 5, (w) => writeConstant(w, constant));
  for (const value of graph.inputs) message(writer, 11, (w) => writeValue(w, value));
  for (const value of graph.outputs) message(writer, 12, (w) => writeValue(w, value));
}

function writeNode(writer: BinaryWriter, node: Node): void {
  for (const name of node.inputs) text(writer, 1, name);
  for (const name of node.outputs) text(writer, 2, name);
  text(writer, 4, node.op);
  for (const [name, value] of Object.entries(node.attributes ?? {})) {
    message(writer, 5, (w) => writeAttribute(w, name, value));
  }
}

function writeAttribute(writer: BinaryWriter, name: string, value: Attribute): void {
  text(writer, 1, name);
  if (typeof value === "number") {
    integer(writer, 3, value);
    integer(writer, 20, ATTRIBUTE_TYPE.int);
  } else if (typeof value === "string") {
    text(writer, 4, value);
    integer(writer, 20, ATTRIBUTE_TYPE.string);
  } else if ("float" in value) {
    writer.tag(2, WireType.Bit32).float(value.float);
    integer(writer, 20, ATTRIBUTE_TYPE.float);
  } else {
    for (const item of value) integer(writer, 8, item);
    integer(writer, 20, ATTRIBUTE_TYPE.ints);
  }
}

function writeValue(writer: BinaryWriter, value: Value): void {
  text(writer, 1, value.name);
  message(writer, 2, (type) =>
    message(type, 1, (tensor) => {
      const { type: elements, shape: sizes } = value;
      integer(tensor, 1, ONNX_TYPE[elements]);
      if (!sizes) return;
      message(tensor, 2, (shape) => {
        for (const size of sizes) {
          message(shape, 1, (w) => (typeof size === "number" ? integer(w, 1, size) : text(w, 2, size)));
        }
      });
    }),
  );
}

function writeConstant(writer: BinaryWriter, constant: Constant): void {
  for (const size of constant.shape) integer(writer, 1, size);
  integer(writer, 2, ONNX_TYPE[constant.type]);
  text(writer, 8, constant.name);
  const raw =
    constant.type === "int64"
      ? new BigInt64Array(constant.values.map(BigInt))
      : constant.type === "double"
        ? new Float64Array(constant.values)
        : new Float32Array(constant.values);
  writer.tag(9, WireType.LengthDelimited).bytes(new Uint8Array(raw.buffer));
}

function message(writer: BinaryWriter, field: number, write: (writer: BinaryWriter) => void): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  write(writer);
  writer.join();
}

function integer(writer: BinaryWriter, field: number, value: number): void {
  writer.tag(field, WireType.Varint).int64(value);
}

function text(writer: BinaryWriter, field: number, value: string): void {
  writer.tag(field, WireType.LengthDelimited).string(value);
}
