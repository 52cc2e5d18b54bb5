import { InputError, RunError } from "../../errors.js";
import { bytesOf } from "../../tensor/matrix.js";
import { type Kernel, openKernel, reserve } from "../../tensor/wasm.js";
import { LINE } from "./library.js";
import type { Kept } from "./numbers.js";

/** What kernel/elementwise.as.ts exports; `out` and `operand` are addresses, 0 where the result is not wanted as that. */
interface Elementwise extends Kernel {
  keepWide(isWide: boolean): void;
  round(x: number, operand: number, count: number): void;
  rmsNorm(
    x: number,
    weight: number,
    out: number,
    operand: number,
    columns: number,
    epsilon: number,
    rows: number,
  ): void;
  add(a: number, b: number, out: number, operand: number, count: number): void;
  multiply(a: number, b: number, out: number, operand: number, count: number): void;
  rope(
    x: number,
    cos: number,
    sin: number,
    out: number,
    operand: number,
    heads: number,
    size: number,
    pairs: number,
    rows: number,
  ): void;
  pack(
    x: number,
    out: number,
    operand: number,
    factor: number,
    windows: number,
    tokens: number,
    begin: number,
    queries: number,
    heads: number,
    size: number,
  ): void;
  mask(scores: number, add: number, firsts: number, queries: number, keys: number, rows: number): void;
  squares(x: number, isHalf: boolean, sums: number, room: number, rows: number, columns: number): void;
}

/**
 * The memory of a kernel, in which a run keeps what it computes. Addresses are in bytes. Views are gone after the next
 * allocation.
 */
export interface Arena {
  readonly kernel: Elementwise;
  /** Everything is free again, but for these tables, which stay where they are from run to run. */
  reset(tables: readonly Table[]): void;
  /** Where a table is. */
  table(data: Table): number;
  allocate(bytes: number): number;
  free(address: number): void;
  floats(address: number, length: number): Float32Array;
  halves(address: number, length: number): Uint16Array;
  doubles(address: number, length: number): Float64Array;
  /** So many numbers of those that lie at a place, from one on. */
  numbers(place: Place, from: number, length: number): Float32Array | Uint16Array;
}

/** Where numbers lie, as float32 or as bfloat16. */
export interface Place {
  readonly at: number;
  readonly isHalf: boolean;
}

type Table = Float32Array | Int32Array;

/** With operands kept in this way. Throws InputError where WebAssembly or its SIMD instructions are missing. */
export function openArena(operands: Kept): Arena {
  const kernel = openKernel<Elementwise>("engine/onednn/kernel/elementwise.wasm");
  if (!kernel) throw new InputError("the engine onednn needs WebAssembly with SIMD, which Node does not have here");
  kernel.keepWide(operands === "rounded");
  let used = 0;
  const sizes = new Map<number, number>();
  /** Blocks are used again for what has their very size: runs ask for few sizes, many times. */
  const freed = new Map<number, number[]>();
  const { memory } = kernel;
  const tables = new Map<Table, number>();
  let tableBytes = 0;
  const startOf = (bytes: number) => {
    try {
      return reserve(kernel, bytes);
    } catch (cause) {
      throw new RunError(
        `a run of the engine onednn needs ${bytes} bytes, more than WebAssembly can have: use shorter windows, or --engine onnxruntime`,
        { cause },
      );
    }
  };
  const arena: Arena = {
    kernel,
    reset(wanted) {
      sizes.clear();
      freed.clear();
      used = tableBytes;
      if (wanted.every((table) => tables.has(table))) return;
      used = 0;
      tables.clear();
      for (const table of new Set(wanted)) {
        const address = arena.allocate(table.byteLength);
        new Uint8Array(memory.buffer, address, table.byteLength).set(bytesOf(table));
        tables.set(table, address);
      }
      tableBytes = used;
      sizes.clear();
    },
    table: (data) => tables.get(data)!,
    allocate(bytes) {
      const size = LINE * Math.ceil(Math.max(bytes, 1) / LINE);
      let address = freed.get(size)?.pop();
      if (address === undefined) {
        address = startOf(used + size) + used;
        used += size;
      }
      sizes.set(address, size);
      return address;
    },
    free(address) {
      const size = sizes.get(address)!;
      const others = freed.get(size);
      if (others) others.push(address);
      else freed.set(size, [address]);
    },
    floats: (address, length) => new Float32Array(memory.buffer, address, length),
    halves: (address, length) => new Uint16Array(memory.buffer, address, length),
    doubles: (address, length) => new Float64Array(memory.buffer, address, length),
    numbers: ({ at, isHalf }, from, length) =>
      isHalf ? arena.halves(at + 2 * from, length) : arena.floats(at + 4 * from, length),
  };
  return arena;
}
