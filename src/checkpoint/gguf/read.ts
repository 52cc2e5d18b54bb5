import type { FileHandle } from "node:fs/promises";
import { InputError } from "../../errors.js";
import { readExactly } from "../folder.js";
import { quote } from "../json.js";
import { allocate, CHUNK_BYTES, checkFinite, endOfRun, shapeOf } from "../read.js";
import { dequantize } from "./dequantize.js";
import { tensorBlock } from "./types.js";
import type { View } from "./views.js";

/** How many values a row of the file has, and in how many bytes; a vector is one row. */
function rowsOf({ tensor }: View): { columns: number; rowBytes: number } {
  const columns = tensor.shape.at(-1)!;
  const { values, bytes } = tensorBlock(tensor.type);
  return { columns, rowBytes: (columns / values) * bytes };
}

/** The whole tensor as float32, in Hugging Face's shape and order. Throws InputError for NaN or infinity. */
export async function readView(handle: FileHandle, view: View, path: string): Promise<Float32Array> {
  const { columns, rowBytes } = rowsOf(view);
  const length = view.shape.reduce((product, size) => product * size, 1);
  const values = allocate(Float32Array, length, view, path);
  const rows = length / columns;
  const begin = view.tensor.begin + view.firstRow * rowBytes;
  const step = Math.max(1, Math.floor(CHUNK_BYTES / rowBytes));
  const stored = view.order || view.transposed ? new Float32Array(step * columns) : undefined;
  const place = placing(view, rows, columns);
  const buffer = new Uint8Array(Math.min(step, rows) * rowBytes);
  for (let first = 0; first < rows; first += step) {
    const count = Math.min(step, rows - first);
    const bytes = buffer.subarray(0, count * rowBytes);
    await readExactly(handle, bytes, begin + first * rowBytes, path);
    const into = stored?.subarray(0, count * columns) ?? values.subarray(first * columns, (first + count) * columns);
    dequantize(bytes, view.tensor.type, into);
    if (stored) place(into, first * columns, values);
  }
  subtract(values, view.added);
  checkFinite(values, 0, view, path);
  return values;
}

/** Puts values that lie in the file from element `first` on in their places. */
function placing(
  view: View,
  rows: number,
  columns: number,
): (from: Float32Array, first: number, into: Float32Array) => void {
  const { order } = view;
  if (order) {
    const isVector = view.shape.length === 1;
    const width = isVector ? 1 : columns;
    const places = new Uint32Array(order.length);
    for (let row = 0; row < order.length; row++) places[order[row]!] = row;
    return (from, first, into) => {
      for (let i = 0; i < from.length; i += width) {
        into.set(from.subarray(i, i + width), places[(first + i) / width]! * width);
      }
    };
  }
  return (from, first, into) => {
    for (let i = 0; i < from.length; i++) {
      const row = Math.floor((first + i) / columns);
      into[((first + i) % columns) * rows + row] = from[i]!;
    }
  };
}

/** Rows of a matrix as float32, [rows.length, columns]; in any order, also repeated. Throws InputError. */
export async function readViewRows(
  handle: FileHandle,
  view: View,
  path: string,
  rows: Int32Array,
): Promise<Float32Array> {
  const [count = 0, width] = view.shape;
  if (width === undefined || view.transposed) {
    throw new InputError(`${path}: tensor ${quote(view.name)} has the shape ${shapeOf(view)} and is not read by rows`);
  }
  for (const row of rows) {
    if (row >= 0 && row < count) continue;
    throw new InputError(
      `${path}: row ${row} of tensor ${quote(view.name)} was asked for, which has ${count} rows; ` +
        "does the tokenizer belong to this model?",
    );
  }
  const { columns, rowBytes } = rowsOf(view);
  const stored = rows.map((row) => view.firstRow + (view.order?.[row] ?? row));
  const values = allocate(Float32Array, rows.length * columns, view, path);
  const order = Uint32Array.from(stored.keys()).sort((a, b) => stored[a]! - stored[b]!);
  for (let from = 0; from < order.length; ) {
    const first = stored[order[from]!]!;
    const to = endOfRun(stored, order, from, rowBytes);
    const buffer = new Uint8Array((stored[order[to - 1]!]! - first + 1) * rowBytes);
    await readExactly(handle, buffer, view.tensor.begin + first * rowBytes, path);
    for (const place of order.subarray(from, to)) {
      const start = (stored[place]! - first) * rowBytes;
      const into = values.subarray(place * columns, (place + 1) * columns);
      dequantize(buffer.subarray(start, start + rowBytes), view.tensor.type, into);
      subtract(into, view.added);
      checkFinite(into, rows[place]! * columns, view, path);
    }
    from = to;
  }
  return values;
}

function subtract(values: Float32Array, added: number): void {
  if (added !== 0) for (let i = 0; i < values.length; i++) values[i]! -= added;
}
