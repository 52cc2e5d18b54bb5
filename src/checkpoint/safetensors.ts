import { basename } from "node:path";
import { InputError } from "../errors.js";
import { DTYPE_BYTES, type DType } from "../tensor/dtype.js";
import type { TensorEntry } from "./checkpoint.js";
import { isObject, parseJsonObject, quote } from "./json.js";

/** Longest header, as the safetensors crate has it. */
const MAX_HEADER_BYTES = 100_000_000;

/** Bytes before the header: its length, an unsigned 64-bit little-endian integer. */
export const PREFIX_BYTES = 8;

const ADVICE = "the file is damaged: download or save it again";

/** What a safetensors file says about itself. */
export interface Header {
  /** In the order of the data. */
  readonly entries: readonly TensorEntry[];
}

/** Bytes of the JSON header, from a file's first 8. Throws InputError if it is over the limit or longer than the file. */
export function headerLength(prefix: Uint8Array, fileSize: number, path: string): number {
  if (fileSize < PREFIX_BYTES || prefix.length < PREFIX_BYTES) {
    throw new InputError(`${path}: ${fileSize} bytes are too few for a safetensors file; ${ADVICE}`);
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset, PREFIX_BYTES).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw new InputError(
      `${path}: says its header has ${length} bytes, more than the limit of ${MAX_HEADER_BYTES}; ${ADVICE}`,
    );
  }
  if (length > BigInt(fileSize - PREFIX_BYTES)) {
    throw new InputError(
      `${path}: says its header has ${length} bytes, and the whole file has ${fileSize}; it was cut off or ${ADVICE}`,
    );
  }
  return Number(length);
}

/**
 * Reads and checks the header at the beginning of a safetensors file, as strictly as the format's own crate does:
 * known dtypes, shape × dtype = bytes, and tensors that cover the data exactly, with no overlap and no gap.
 * `bytes` holds at least length prefix and header. Throws InputError naming file and tensor.
 */
export function parseHeader(bytes: Uint8Array, fileSize: number, path: string): Header {
  const length = headerLength(bytes, fileSize, path);
  if (bytes.length < PREFIX_BYTES + length) throw new InputError(`${path}: ends inside its header; ${ADVICE}`);
  const json = bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + length);
  if (json[0] !== 0x7b) throw new InputError(`${path}: its header does not begin with "{"; ${ADVICE}`);
  const { __metadata__: metadata = {}, ...tensors } = parseJsonObject(json, path);
  if (!isStringRecord(metadata)) {
    throw new InputError(`${path}: __metadata__ in its header may hold strings only; ${ADVICE}`);
  }
  const dataStart = PREFIX_BYTES + length;
  const entries = Object.entries(tensors).map(([name, value]) => parseEntry(name, value, dataStart, fileSize, path));
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkTiling(entries, dataStart, fileSize, path);
  return { entries };
}

function parseEntry(name: string, value: unknown, dataStart: number, fileSize: number, path: string): TensorEntry {
  const where = `${path}: tensor ${quote(name)}`;
  if (!isObject(value)) throw new InputError(`${where} is not described by an object; ${ADVICE}`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string" || !isDType(dtype)) {
    throw new InputError(
      `${where} has the dtype ${quote(String(dtype))}, which pare does not know; convert it to F32, F16 or BF16`,
    );
  }
  if (!Array.isArray(shape) || !shape.every(isSize)) {
    throw new InputError(`${where} has a shape that is no list of sizes (integers of 0 or more); ${ADVICE}`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    throw new InputError(`${where} has data_offsets that are not [begin, end]; ${ADVICE}`);
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end) throw new InputError(`${where} ends at byte ${end}, before its begin at ${begin}; ${ADVICE}`);
  if (end > fileSize - dataStart) {
    throw new InputError(
      `${where} ends at byte ${end} of ${fileSize - dataStart} bytes of data; the file was cut off: download it again`,
    );
  }
  let bytes: number = DTYPE_BYTES[dtype];
  for (const size of shape) {
    bytes *= size;
    if (bytes > Number.MAX_SAFE_INTEGER) throw new InputError(`${where} has an impossibly large shape; ${ADVICE}`);
  }
  if (bytes !== end - begin) {
    throw new InputError(
      `${where} is ${dtype} of shape [${shape.slice(0, 8).join(", ")}], ${bytes} bytes, but has ${end - begin}; ${ADVICE}`,
    );
  }
  return { name, dtype, shape, file: basename(path), begin: dataStart + begin, end: dataStart + end };
}

function checkTiling(entries: readonly TensorEntry[], dataStart: number, fileSize: number, path: string): void {
  let expected = dataStart;
  let previous = "";
  for (const { name, begin, end } of entries) {
    if (begin < expected) {
      throw new InputError(`${path}: tensors ${quote(previous)} and ${quote(name)} overlap; ${ADVICE}`);
    }
    if (begin > expected) {
      throw new InputError(
        `${path}: ${begin - expected} bytes before tensor ${quote(name)} belong to no tensor; ${ADVICE}`,
      );
    }
    expected = end;
    previous = name;
  }
  if (expected !== fileSize) {
    throw new InputError(`${path}: the last ${fileSize - expected} bytes belong to no tensor; ${ADVICE}`);
  }
}

function isDType(name: string): name is DType {
  return Object.hasOwn(DTYPE_BYTES, name);
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isStringRecord(value: unknown): value is Record<string, string> {
  return isObject(value) && Object.values(value).every((item) => typeof item === "string");
}

/** A tensor of the file that is to be. */
export interface Planned {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** What it is stored as now, where that is something else. */
  readonly storedAs?: string | undefined;
}

/** Where tensors get their places: wide ones first, so that each begins at a multiple of its elements' size. */
export function planShard(planned: readonly Planned[], file: string): { entries: TensorEntry[]; header: Uint8Array } {
  const sorted = planned.toSorted((a, b) => DTYPE_BYTES[b.dtype] - DTYPE_BYTES[a.dtype]);
  const description: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let end = 0;
  const offsets = sorted.map(({ name, dtype, shape }) => {
    const begin = end;
    end += shape.reduce((product, size) => product * size, DTYPE_BYTES[dtype]);
    description[name] = { dtype, shape, data_offsets: [begin, end] };
    return { begin, end };
  });
  const json = JSON.stringify(description);
  const text = new TextEncoder().encode(json.padEnd(json.length + ((8 - (Buffer.byteLength(json) % 8)) % 8)));
  const header = new Uint8Array(PREFIX_BYTES + text.length);
  new DataView(header.buffer).setBigUint64(0, BigInt(text.length), true);
  header.set(text, PREFIX_BYTES);
  const entries = sorted.map(({ name, dtype, shape, storedAs }, i) => {
    const place = offsets[i]!;
    return { name, dtype, shape, storedAs, file, begin: header.length + place.begin, end: header.length + place.end };
  });
  return { entries, header };
}
