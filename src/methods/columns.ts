import { type Kernel, lazyKernel, reserve } from "../tensor/wasm.js";

/** Columns of a weight at work; rows do not touch one another. */
export interface WorkingColumns {
  readonly rows: number;
  readonly width: number;
  /** [rows, width]; where the mask is 1 and correctRows came by, the error stands in place of the value. */
  readonly values: Float64Array;
  /** [rows, width]; 1 for what is to go. */
  readonly mask: Uint8Array;
  /** [width, width], upper triangular. */
  readonly u: Float64Array;
  /**
   * Corrects each row for its entries in the columns [begin, end) that go, from left to right: the error of one at column
   * i is its value / u_ii, and takes error · u_ij from every value at a column j > i.
   */
  correctRows(begin: number, end: number): void;
}

/** Columns within which errors act one by one; on what is right of them they act four together. */
const UNIT = 16;
/** What a kernel's memory may have to hold; beyond, the plain loops do it. */
const MOST_BYTES = 2 ** 31;

/** Columns with plain loops over them: the specification. */
export function plainColumns(rows: number, width: number): WorkingColumns {
  const values = new Float64Array(rows * width);
  const mask = new Uint8Array(rows * width);
  const u = new Float64Array(width * width);
  const columns = { rows, width, values, mask, u };
  return { ...columns, correctRows: (begin, end) => correctRows(columns, begin, end) };
}

function correctRows(
  { rows, width, values, mask, u }: Omit<WorkingColumns, "correctRows">,
  begin: number,
  end: number,
): void {
  const errors = new Float64Array(UNIT);
  const places = new Int32Array(UNIT);
  for (let r = 0; r < rows; r++) {
    const row = r * width;
    for (let from = begin; from < end; from += UNIT) {
      const to = Math.min(from + UNIT, end);
      let count = 0;
      for (let i = from; i < to; i++) {
        if (mask[row + i] === 0) continue;
        const uRow = i * width;
        const error = values[row + i]! / u[uRow + i]!;
        values[row + i] = error;
        for (let j = i + 1; j < to; j++) values[row + j]! -= error * u[uRow + j]!;
        errors[count] = error;
        places[count++] = uRow;
      }
      let p = 0;
      for (; p + 4 <= count; p += 4) {
        const [e0, e1, e2, e3] = [errors[p]!, errors[p + 1]!, errors[p + 2]!, errors[p + 3]!];
        const [u0, u1, u2, u3] = [places[p]!, places[p + 1]!, places[p + 2]!, places[p + 3]!];
        for (let j = to; j < width; j++) {
          values[row + j]! -= e0 * u[u0 + j]! + e1 * u[u1 + j]! + (e2 * u[u2 + j]! + e3 * u[u3 + j]!);
        }
      }
      if (p + 2 <= count) {
        const [e0, e1, u0, u1] = [errors[p]!, errors[p + 1]!, places[p]!, places[p + 1]!];
        for (let j = to; j < width; j++) values[row + j]! -= e0 * u[u0 + j]! + e1 * u[u1 + j]!;
        p += 2;
      }
      if (p < count) {
        const [error, uRow] = [errors[p]!, places[p]!];
        for (let j = to; j < width; j++) values[row + j]! -= error * u[uRow + j]!;
      }
    }
  }
}

interface ColumnsKernel extends Kernel {
  correctRows(
    values: number,
    mask: number,
    u: number,
    room: number,
    rows: number,
    width: number,
    begin: number,
    end: number,
    unit: number,
  ): void;
}

const kernel = lazyKernel<ColumnsKernel>("methods/kernel/columns.wasm");

/**
 * Columns in the kernel's memory, zeroed; undefined where it does not run. They are gone when the next ones are asked for.
 */
export function kernelColumns(rows: number, width: number): WorkingColumns | undefined {
  const cells = rows * width;
  const bytes = { u: 8 * width * width, values: 8 * cells, room: 16 * UNIT, mask: cells };
  const needed = bytes.u + bytes.values + bytes.room + bytes.mask;
  const wasm = needed > MOST_BYTES ? null : kernel();
  if (!wasm) return undefined;
  const u = reserve(wasm, needed);
  const values = u + bytes.u;
  const room = values + bytes.values;
  const mask = room + bytes.room;
  const { buffer } = wasm.memory;
  new Uint8Array(buffer, u, needed).fill(0);
  return {
    rows,
    width,
    values: new Float64Array(buffer, values, cells),
    mask: new Uint8Array(buffer, mask, cells),
    u: new Float64Array(buffer, u, width * width),
    correctRows: (begin, end) => wasm.correctRows(values, mask, u, room, rows, width, begin, end, UNIT),
  };
}

/** The kernel's columns where it runs, else plain ones. */
export function fastestColumns(rows: number, width: number): WorkingColumns {
  return kernelColumns(rows, width) ?? plainColumns(rows, width);
}
