import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { InputError, RunError, throwIfAborted } from "../errors.js";
import {
  DTYPE_BYTES,
  type FloatDType,
  firstNonFinite,
  firstNonFiniteBfloat16,
  fromBfloat16,
  isFloatDType,
  widenChecked,
} from "../tensor/dtype.js";
import { bytesOf } from "../tensor/matrix.js";
import type { TensorEntry } from "./checkpoint.js";
import { readExactly } from "./folder.js";
import { quote } from "./json.js";

/** Bytes read at once: worth a call, and still in the processor's cache when they are widened. A multiple of every element's size. */
export const CHUNK_BYTES = 1 << 21;

/** Rows this close together are read in one go: skipping bytes costs less than another call. */
const MAX_GAP_BYTES = 1 << 14;

/** The chunk of whoever read last, for who reads next: fresh memory costs the system as much as reading a chunk. */
let spare: Uint8Array | undefined;

/**
 * The whole tensor as float32, a new array over `room`'s memory where that is as long. Throws InputError for a dtype that is no
 * float, NaN or infinity.
 */
export async function readTensor(
  handle: FileHandle,
  entry: TensorEntry,
  path: string,
  room?: ArrayBufferView,
): Promise<Float32Array> {
  const dtype = floatDType(entry, path);
  const size = DTYPE_BYTES[dtype];
  const values = allocate(Float32Array, (entry.end - entry.begin) / size, entry, path, room);
  const buffer = spare ?? new Uint8Array(CHUNK_BYTES);
  spare = undefined; // others may read meanwhile
  for (let position = entry.begin; position < entry.end; position += buffer.length) {
    const chunk = buffer.subarray(0, Math.min(buffer.length, entry.end - position));
    await readExactly(handle, chunk, position, path);
    const first = (position - entry.begin) / size;
    const bad = widenChecked(chunk, dtype, values.subarray(first, first + chunk.length / size));
    if (bad >= 0) throw notFinite(values[first + bad]!, first + bad, entry, path);
  }
  spare = buffer;
  return values;
}

/** The bits of a whole tensor of BF16 likewise; undefined for one of another dtype. */
export async function readBits(
  handle: FileHandle,
  entry: TensorEntry,
  path: string,
  room?: ArrayBufferView,
): Promise<Uint16Array | undefined> {
  if (entry.dtype !== "BF16") return undefined;
  const bits = allocate(Uint16Array, (entry.end - entry.begin) / 2, entry, path, room);
  const bytes = bytesOf(bits);
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    const chunk = bytes.subarray(at, at + CHUNK_BYTES);
    await readExactly(handle, chunk, entry.begin + at, path);
    checkFinite(bits.subarray(at / 2, (at + chunk.length) / 2), at / 2, entry, path);
  }
  return bits;
}

/** Rows of a matrix as float32, [rows.length, columns]; in any order, also repeated. */
export async function readRows(
  handle: FileHandle,
  entry: TensorEntry,
  path: string,
  rows: Int32Array,
): Promise<Float32Array> {
  const dtype = floatDType(entry, path);
  const [count, columns] = entry.shape;
  if (count === undefined || columns === undefined || entry.shape.length !== 2) {
    throw new InputError(`${path}: tensor ${quote(entry.name)} has the shape ${shapeOf(entry)} and is no matrix`);
  }
  for (const row of rows) {
    if (row >= 0 && row < count) continue;
    throw new InputError(
      `${path}: row ${row} of tensor ${quote(entry.name)} was asked for, which has ${count} rows; ` +
        "does the tokenizer belong to this model?",
    );
  }
  const values = allocate(Float32Array, rows.length * columns, entry, path);
  const rowBytes = columns * DTYPE_BYTES[dtype];
  const order = Uint32Array.from(rows.keys()).sort((a, b) => rows[a]! - rows[b]!);
  for (let from = 0; from < order.length; ) {
    const first = rows[order[from]!]!;
    const to = endOfRun(rows, order, from, rowBytes);
    const buffer = new Uint8Array((rows[order[to - 1]!]! - first + 1) * rowBytes);
    await readExactly(handle, buffer, entry.begin + first * rowBytes, path);
    for (const place of order.subarray(from, to)) {
      const start = (rows[place]! - first) * rowBytes;
      const into = values.subarray(place * columns, (place + 1) * columns);
      const bad = widenChecked(buffer.subarray(start, start + rowBytes), dtype, into);
      if (bad >= 0) throw notFinite(into[bad]!, rows[place]! * columns + bad, entry, path);
    }
    from = to;
  }
  return values;
}

/** Where the run of near rows that starts at order[from] ends. */
export function endOfRun(rows: Int32Array, order: Uint32Array, from: number, rowBytes: number): number {
  const first = rows[order[from]!]!;
  let to = from + 1;
  for (; to < order.length; to++) {
    const row = rows[order[to]!]!;
    const gap = row - rows[order[to - 1]!]! - 1;
    if (gap * rowBytes > MAX_GAP_BYTES || (row - first + 1) * rowBytes > CHUNK_BYTES) break;
  }
  return to;
}

/** SHA-256 (hex) of config.json's bytes and then those of the shards, in name order: `cat config.json *.safetensors`. */
export async function hashFiles(
  config: Uint8Array,
  shards: ReadonlyMap<string, FileHandle>,
  directory: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const hash = createHash("sha256").update(config);
  const buffer = new Uint8Array(CHUNK_BYTES);
  for (const [name, handle] of shards) {
    const { size } = await handle.stat();
    for (let position = 0; position < size; position += buffer.length) {
      throwIfAborted(signal);
      const chunk = buffer.subarray(0, Math.min(buffer.length, size - position));
      await readExactly(handle, chunk, position, join(directory, name));
      hash.update(chunk);
    }
  }
  throwIfAborted(signal);
  return hash.digest("hex");
}

function floatDType(entry: TensorEntry, path: string): FloatDType {
  if (isFloatDType(entry.dtype)) return entry.dtype;
  throw new InputError(
    `${path}: tensor ${quote(entry.name)} is stored as ${entry.dtype}, which pare does not compute with; ` +
      "convert the model to F32, F16 or BF16",
  );
}

type View = [buffer: ArrayBufferLike, byteOffset: number, length: number];

/** So many numbers; a new array over the memory of `room`, where it is given and as long. */
export function allocate<T extends Float32Array | Uint16Array>(
  Numbers: { new (length: number): T; new (...of: View): T; readonly BYTES_PER_ELEMENT: number },
  length: number,
  entry: Pick<TensorEntry, "name">,
  path: string,
  room?: ArrayBufferView,
): T {
  if (room?.byteLength === length * Numbers.BYTES_PER_ELEMENT) return new Numbers(room.buffer, room.byteOffset, length);
  try {
    return new Numbers(length);
  } catch (cause) {
    const bytes = length * Numbers.BYTES_PER_ELEMENT;
    throw new RunError(`${path}: tensor ${quote(entry.name)} needs ${bytes} bytes, more than Node can give`, { cause });
  }
}

/** `values` are the elements of the tensor from `first` on, in float32 or as bits of bfloat16. */
export function checkFinite(
  values: Float32Array | Uint16Array,
  first: number,
  entry: Pick<TensorEntry, "name" | "shape">,
  path: string,
): void {
  const isWide = values instanceof Float32Array;
  const index = isWide ? firstNonFinite(values) : firstNonFiniteBfloat16(values);
  if (index < 0) return;
  const [value] = isWide ? values.subarray(index) : fromBfloat16(values.subarray(index, index + 1));
  throw notFinite(value!, first + index, entry, path);
}

function notFinite(value: number, index: number, entry: Pick<TensorEntry, "name" | "shape">, path: string): InputError {
  const place: number[] = [];
  let rest = index;
  for (const size of entry.shape.toReversed()) {
    place.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return new InputError(
    `${path}: tensor ${quote(entry.name)} is ${value} at [${place.join(", ")}]; ` +
      "weights have to be finite: the file is damaged or the model was trained or converted wrongly",
  );
}

export function shapeOf(entry: Pick<TensorEntry, "shape">): string {
  return `[${entry.shape.slice(0, 8).join(", ")}]`;
}
