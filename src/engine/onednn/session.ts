import { Tensor } from "onnxruntime-node";
import type { Graph } from "../onnxruntime/onnx.js";
import type { Feeds, Session } from "../onnxruntime/session.js";
import type { Memory } from "./library.js";
import type { Operand, Products } from "./products.js";
import { cutAtProducts, type Product, type Stage } from "./stages.js";

/** A stage with the session of its graph. */
interface Open extends Stage {
  readonly session: Session | undefined;
}

/** What lies between the stages of a run: used again by the next run of the same sizes. */
interface Rooms {
  readonly sizes: string;
  readonly tensors: Map<string, Tensor>;
  readonly operands: Map<string, Memory>;
}

/** A graph whose products oneDNN computes, and onnxruntime the rest. If frugal, it keeps no memory for the next run. */
export async function openStages(
  graph: Graph,
  products: Products,
  frugal: boolean,
  open: (graph: Graph) => Promise<Session>,
): Promise<Session> {
  const stages: Open[] = [];
  for (const stage of cutAtProducts(graph)) {
    stages.push({ ...stage, session: stage.graph && (await open(stage.graph)) });
  }
  const outputs = graph.outputs.map(({ name }) => name);
  const parameters = new Set(
    stages.flatMap((stage) => stage.products.flatMap((p) => (p.kind === "linear" ? [p.weight, p.bias] : []))),
  );
  // How many rows go to an expert is another number in every run.
  const isKept = !frugal && !graph.nodes.some(({ op }) => op === "NonZero");
  let rooms: Rooms | undefined;
  const roomsFor = (feeds: Feeds): Rooms => {
    const sizes = Object.entries(feeds)
      .map(([name, { dims }]) => (parameters.has(name) ? "" : dims))
      .join(";");
    if (!isKept || rooms?.sizes !== sizes) rooms = { sizes, tensors: new Map(), operands: new Map() };
    return rooms;
  };

  return {
    async run(feeds, fetches = {}) {
      const { tensors, operands: operandRooms } = roomsFor(feeds);
      const edges = new Map(Object.entries(feeds));
      const operands = new Map<string, Operand>();
      const room = (name: string) => fetches[name] ?? (outputs.includes(name) ? undefined : tensors.get(name));
      const keep = (name: string, tensor: Tensor) => {
        edges.set(name, tensor);
        if (isKept && !outputs.includes(name)) tensors.set(name, tensor);
      };
      const operand = (name: string): Operand => {
        let found = operands.get(name);
        if (!found) {
          const { data, dims } = edges.get(name)!;
          const [rows, columns] = dims as readonly [number, number];
          found = products.operand(data as Float32Array, rows, columns, operandRooms.get(name));
          operands.set(name, found);
          if (isKept && found.data !== data) operandRooms.set(name, found.data);
        }
        return found;
      };
      const data = (name: string) => edges.get(name)!.data as Float32Array;
      const multiply = (product: Product): void => {
        const { y } = product;
        if (product.kind === "linear") {
          const x = operand(product.x);
          const [out] = edges.get(product.weight)!.dims as readonly [number];
          const result = room(y) ?? new Tensor("float32", new Float32Array(x.rows * out), [x.rows, out]);
          const bias = product.bias === undefined ? undefined : data(product.bias);
          products.linear(x, data(product.weight), bias, result.data as Float32Array);
          keep(y, result);
        } else {
          const before = edges.get(product.before)!;
          const result = room(y) ?? new Tensor("float32", new Float32Array(before.size), before.dims);
          if (result.data !== before.data) (result.data as Float32Array).set(before.data as Float32Array);
          products.addGram(operand(product.a), operand(product.b), result.data as Float32Array);
          keep(y, result);
        }
      };
      for (const { session, graph: part, products: list } of stages) {
        if (session && part) {
          const known = (name: string) => [name, edges.get(name)!] as const;
          const made = await session.run(
            Object.fromEntries(part.inputs.map(({ name }) => known(name))),
            Object.fromEntries(part.outputs.map(({ name }) => [name, room(name) ?? null])),
          );
          // What is written to a room comes back as a copy too, which nobody needs.
          for (const { name } of part.outputs) keep(name, room(name) ?? made[name]!);
        }
        for (const product of list) multiply(product);
      }
      return Object.fromEntries(outputs.map((name) => [name, edges.get(name)!]));
    },
    async release() {
      for (const { session } of stages) await session?.release();
    },
  };
}
