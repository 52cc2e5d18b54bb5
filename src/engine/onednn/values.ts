import { fromBfloat16 } from "../../tensor/dtype.js";
import { Tensor } from "../onnxruntime/ort.js";
import type { Feeds } from "../onnxruntime/session.js";
import type { Arena, Place } from "./arena.js";
import type { Numbers } from "./numbers.js";
import type { Plan } from "./plan.js";
import type { Operand, Products } from "./products.js";

/** Rows of numbers: as a tensor that onnxruntime made or was given, in the arena as float32, as products read them, or all of them. */
interface Value {
  readonly rows: number;
  readonly columns: number;
  tensor?: Tensor;
  floats?: number;
  operand?: number;
}

/** Where a step puts its result; 0: not wanted as that. */
interface Target {
  readonly floats: number;
  readonly operand: number;
}

/** What is known while a graph runs, by the names of its edges, inputs and outputs. */
export class Values {
  readonly #plan: Plan;
  readonly #products: Products;
  readonly #arena: Arena;
  readonly #feeds: Feeds;
  readonly #fetches: Readonly<Record<string, Tensor | null>>;
  readonly #values = new Map<string, Value>();

  constructor(
    plan: Plan,
    products: Products,
    arena: Arena,
    feeds: Feeds,
    fetches: Readonly<Record<string, Tensor | null>>,
  ) {
    this.#plan = plan;
    this.#products = products;
    this.#arena = arena;
    this.#feeds = feeds;
    this.#fetches = fetches;
    const tables = plan.tables.map((name) => feeds[name]!.data as Float32Array);
    const masks = plan.masks.map((name) => feeds[name]!);
    arena.reset([...tables, ...masks.flatMap(({ data, dims }) => tablesOfMask(data as Float32Array, dims[1]!))]);
  }

  get windows(): number {
    return this.#feeds["x"]!.dims[0]!;
  }

  /** Of each window. */
  get tokens(): number {
    return this.#feeds["x"]!.dims[1]!;
  }

  /** [rows, columns] of a value. */
  shape(name: string): readonly [number, number] {
    const { rows, columns } = this.#value(name);
    return [rows, columns];
  }

  /** A parameter, a table, or a whole number of one. */
  given(name: string): Tensor {
    return this.#feeds[name]!;
  }

  integer(name: string): number {
    return Number((this.given(name).data as BigInt64Array)[0]);
  }

  /** As onnxruntime reads it. */
  tensor(name: string): Tensor {
    const feed = this.#feeds[name];
    if (feed) return feed.type === "uint16" ? widened(feed) : feed;
    const value = this.#value(name);
    return value.tensor ?? new Tensor("float32", this.floats(name), [value.rows, value.columns]);
  }

  /** Float32 [rows · columns], to be read before anything else is allocated. */
  floats(name: string): Float32Array {
    const value = this.#value(name);
    if (value.floats !== undefined) return this.#arena.floats(value.floats, value.rows * value.columns);
    if (value.tensor) return value.tensor.data as Float32Array;
    throw new Error(`${name} is there as products read it only`);
  }

  /** Where its float32 numbers are in the arena. */
  address(name: string): number {
    const value = this.#value(name);
    if (value.floats === undefined) {
      const { data } = value.tensor!;
      value.floats = this.#arena.allocate(4 * data.length);
      this.#arena.floats(value.floats, data.length).set(data as Float32Array);
    }
    return value.floats;
  }

  /** As a product reads it. */
  operand(name: string): Operand {
    const { rows, columns } = this.#value(name);
    if (!this.#rounds) return { data: this.floats(name), rows, columns };
    return { data: this.#arena.numbers(this.operandAddress(name), 0, rows * columns), rows, columns };
  }

  /** Where `operand` lies in the arena, and whether it is bfloat16. */
  operandAddress(name: string): Place {
    if (!this.#rounds) return { at: this.address(name), isHalf: false };
    const value = this.#value(name);
    if (value.operand === undefined) {
      const length = value.rows * value.columns;
      const isOutside = value.floats === undefined;
      const from = this.address(name);
      value.operand = this.#allocateOperand(length);
      this.#arena.kernel.round(from, value.operand, length);
      if (isOutside) {
        this.#arena.free(from);
        delete value.floats;
      }
    }
    return { at: value.operand, isHalf: this.#isHalf };
  }

  /** Room for a result, as it is read later. */
  make(name: string, rows: number, columns: number): Target {
    const root = this.#plan.root(name);
    const wantsOperand = this.#rounds && this.#plan.operands.has(root);
    const wantsFloats = !wantsOperand || this.#plan.floats.has(root);
    const value: Value = { rows, columns };
    if (wantsFloats) value.floats = this.#arena.allocate(4 * rows * columns);
    if (wantsOperand) value.operand = this.#allocateOperand(rows * columns);
    this.#values.set(root, value);
    return { floats: value.floats ?? 0, operand: value.operand ?? 0 };
  }

  /** Room for a result in float32. */
  makeFloats(name: string, rows: number, columns: number): number {
    const floats = this.#arena.allocate(4 * rows * columns);
    this.#values.set(this.#plan.root(name), { rows, columns, floats });
    return floats;
  }

  /** Room for a result in one form, which `roundMade` ends: as products read it where nobody else does. */
  makeOne(name: string, rows: number, columns: number): Place {
    const root = this.#plan.root(name);
    if (!this.#rounds || !this.#plan.operands.has(root) || this.#plan.floats.has(root)) {
      return { at: this.makeFloats(root, rows, columns), isHalf: false };
    }
    const operand = this.#allocateOperand(rows * columns);
    this.#values.set(root, { rows, columns, operand });
    return { at: operand, isHalf: this.#isHalf };
  }

  /** Rounds what was written as float32 where only products read it; what was written as bfloat16 is. */
  roundMade(name: string): void {
    const { rows, columns, operand } = this.#value(name);
    if (operand !== undefined && !this.#isHalf) this.#arena.kernel.round(operand, operand, rows * columns);
  }

  /** As makeOne, for a product: an output of the graph where that is to be. */
  makeProduct(name: string, rows: number, columns: number): Numbers {
    const root = this.#plan.root(name);
    const output = this.#plan.outputs.get(root);
    if (output !== undefined) {
      const tensor = this.#fetches[output] ?? new Tensor("float32", new Float32Array(rows * columns), [rows, columns]);
      this.#values.set(root, { rows, columns, tensor });
      return tensor.data as Float32Array;
    }
    return this.#arena.numbers(this.makeOne(root, rows, columns), 0, rows * columns);
  }

  /** Where an output is to be put, if that is said. */
  fetched(name: string): Tensor | undefined {
    return this.#fetches[this.#plan.outputs.get(this.#plan.root(name)) ?? name] ?? undefined;
  }

  /** Takes what is made outside the arena. */
  keep(name: string, tensor: Tensor): void {
    const { dims } = tensor;
    const columns = dims.at(-1) ?? 1;
    const rows = dims.slice(0, -1).reduce((product, size) => product * size, 1);
    this.#values.set(this.#plan.root(name), { rows, columns, tensor });
  }

  /** Forgets a value that nobody reads any more. */
  drop(root: string): void {
    const value = this.#values.get(root);
    if (value?.floats !== undefined) this.#arena.free(value.floats);
    if (value?.operand !== undefined) this.#arena.free(value.operand);
    this.#values.delete(root);
  }

  /** An output of the graph, outside the arena. */
  output(name: string): Tensor {
    const value = this.#value(name);
    if (value.tensor) {
      const fetch = this.#fetches[name];
      if (!fetch || fetch === value.tensor) return value.tensor;
      (fetch.data as Float32Array).set(value.tensor.data as Float32Array);
      return fetch;
    }
    const dims = [value.rows, value.columns];
    const fetch = this.#fetches[name] ?? new Tensor("float32", new Float32Array(value.rows * value.columns), dims);
    (fetch.data as Float32Array).set(this.floats(name));
    return fetch;
  }

  /** Whether products read anything but float32 as it is, and whether that is bfloat16. */
  get #rounds(): boolean {
    return this.#products.operands !== "float32";
  }

  get #isHalf(): boolean {
    return this.#products.operands === "bfloat16";
  }

  #allocateOperand(length: number): number {
    return this.#arena.allocate((this.#isHalf ? 2 : 4) * length);
  }

  #value(name: string): Value {
    const root = this.#plan.root(name);
    let value = this.#values.get(root);
    if (!value) {
      this.keep(root, this.#feeds[root]!);
      value = this.#values.get(root)!;
    }
    return value;
  }
}

const inFloat32 = new WeakMap<object, Tensor>();

/** A weight in bfloat16, for a product that is computed in float32 whatever the precision. */
function widened({ data, dims }: Tensor): Tensor {
  let found = inFloat32.get(data);
  if (!found) {
    found = new Tensor("float32", fromBfloat16(data as Uint16Array), dims);
    inFloat32.set(data, found);
  }
  return found;
}

function tablesOfMask(mask: Float32Array, keys: number): [Float32Array, Int32Array] {
  return [mask, firstHidden(mask, keys)];
}

const hiddenFrom = new WeakMap<Float32Array, Int32Array>();

/** For every row of a mask [queries, keys] the first column that is not 0: where there is anything to be added. */
export function firstHidden(mask: Float32Array, keys: number): Int32Array {
  let firsts = hiddenFrom.get(mask);
  if (!firsts) {
    firsts = new Int32Array(mask.length / keys);
    for (let query = 0; query < firsts.length; query++) {
      let key = 0;
      while (key < keys && mask[query * keys + key] === 0) key++;
      firsts[query] = key;
    }
    hiddenFrom.set(mask, firsts);
  }
  return firsts;
}
