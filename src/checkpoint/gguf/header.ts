import type { FileHandle } from "node:fs/promises";
import { InputError } from "../../errors.js";
import { readExactly } from "../folder.js";
import { quote } from "../json.js";
import { tensorType } from "./types.js";

/** A vocabulary of 262,144 tokens with its merges takes some 15 MB. */
const MAX_HEADER_BYTES = 128 * 1024 * 1024;
/** What is read first; SmolLM2's header has 1.7 MB. */
const FIRST_READ_BYTES = 4 * 1024 * 1024;
const MAX_KEYS = 65_536;
const MAX_KEY_BYTES = 65_535;
/** A chat template, or a licence's text. */
const MAX_STRING_BYTES = 16 * 1024 * 1024;
/** Of all arrays together: Gemma has 0.8 million and its merges. */
const MAX_ARRAY_ELEMENTS = 2 ** 22;
const MAX_TENSORS = 131_072;
/** The format's own limits. */
const MAX_NAME_BYTES = 64;
const MAX_DIMENSIONS = 4;
const DEFAULT_ALIGNMENT = 32;
const MAX_ALIGNMENT = 2 ** 20;

const ADVICE = "the file is damaged: download or convert it again";

/** A value of the metadata; whole numbers beyond 2^53 are bigints. */
export type GgufValue = number | bigint | boolean | string | readonly (number | bigint | boolean | string)[];

/** A tensor: bytes [begin, end) of the file. */
export interface GgufTensor {
  readonly name: string;
  /** The type's name, Q4_K say; one of those that pare knows, if not of those that it reads. */
  readonly type: string;
  /** The slowest dimension first: [out, in]. */
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** What a GGUF file says about itself. */
export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** In the order of the data. */
  readonly tensors: readonly GgufTensor[];
}

/** Reads and checks the header of an open file. Throws InputError naming file, key and tensor. */
export async function readGgufHeader(handle: FileHandle, path: string): Promise<GgufHeader> {
  const { size } = await handle.stat();
  for (let length = Math.min(size, FIRST_READ_BYTES); ; length = Math.min(size, 4 * length, MAX_HEADER_BYTES)) {
    const bytes = new Uint8Array(length);
    await readExactly(handle, bytes, 0, path);
    const header = parseGgufHeader(bytes, size, path);
    if (header) return header;
    if (length >= MAX_HEADER_BYTES) {
      throw new InputError(`${path}: its header is longer than the limit of ${MAX_HEADER_BYTES} bytes; ${ADVICE}`);
    }
  }
}

/** Thrown where the file goes on and `bytes` do not. */
const MORE = new Error("more of the file is needed");

/**
 * The header at the beginning of a GGUF file, version 2 or 3, little-endian: every key and every tensor once, tensors of known
 * types that follow one another at the alignment's distances, as ggml's own reader asks for. What it says is believed only as
 * far as the file has bytes for it. Undefined when `bytes` hold too little of it. Throws InputError naming file, key and tensor.
 */
export function parseGgufHeader(bytes: Uint8Array, fileSize: number, path: string): GgufHeader | undefined {
  try {
    return parse(createReader(bytes, fileSize, path), fileSize, path);
  } catch (error) {
    if (error === MORE) return undefined;
    throw error;
  }
}

type Reader = ReturnType<typeof createReader>;

function parse(reader: Reader, fileSize: number, path: string): GgufHeader {
  checkMagic(reader, path);
  const tensorCount = reader.count("the number of tensors", MAX_TENSORS, 24);
  const keyCount = reader.count("the number of metadata keys", MAX_KEYS, 13);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < keyCount; i++) {
    const key = reader.text("a metadata key", MAX_KEY_BYTES);
    if (metadata.has(key)) throw new InputError(`${path}: metadata ${quote(key)} stands twice; ${ADVICE}`);
    metadata.set(key, readValue(reader, `metadata ${quote(key)}`, path));
  }
  const alignment = readAlignment(metadata, path);
  const infos = new Map<string, TensorInfo>();
  for (let i = 0; i < tensorCount; i++) {
    const name = reader.text("a tensor's name", MAX_NAME_BYTES);
    if (infos.has(name)) throw new InputError(`${path}: tensor ${quote(name)} stands twice; ${ADVICE}`);
    infos.set(name, readInfo(reader, `${path}: tensor ${quote(name)}`));
  }
  return { metadata, tensors: place(infos, align(reader.position(), alignment), alignment, fileSize, path) };
}

function checkMagic(reader: Reader, path: string): void {
  const magic = String.fromCharCode(...reader.take(4, "its first four bytes"));
  if (magic !== "GGUF") {
    const old = ["ggml", "GGML", "ggjt", "tjgg", "ggla", "algg", "fmgg", "lmgg"].includes(magic);
    throw new InputError(
      old
        ? `${path}: a GGML file, older than GGUF; convert the model again with a current llama.cpp`
        : `${path}: does not begin with "GGUF"; the file is no GGUF file, or ${ADVICE}`,
    );
  }
  const version = reader.uint32("its version");
  if (version === 2 || version === 3) return;
  if (version !== 0 && (version & 0xffff) === 0) {
    throw new InputError(`${path}: a big-endian GGUF file; only little-endian ones are read: convert the model again`);
  }
  throw new InputError(`${path}: GGUF version ${version}; versions 2 and 3 are read: convert the model again`);
}

/** Sizes of the values' types, by number: uint8 to float32, bool, string, array, then the 64-bit ones. */
const VALUE_BYTES = [1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8];
const STRING = 8;
const ARRAY = 9;

function readValue(reader: Reader, what: string, path: string): GgufValue {
  const kind = readKind(reader, what, path);
  if (kind !== ARRAY) return readScalar(reader, kind, what, path);
  const inner = readKind(reader, what, path);
  if (inner === ARRAY) throw new InputError(`${path}: ${what} is an array of arrays, which no model needs; ${ADVICE}`);
  const count = reader.count(`the length of ${what}`, MAX_ARRAY_ELEMENTS, VALUE_BYTES[inner]!);
  reader.spend(count, what);
  const values: (number | bigint | boolean | string)[] = [];
  for (let i = 0; i < count; i++) values.push(readScalar(reader, inner, what, path));
  return values;
}

function readKind(reader: Reader, what: string, path: string): number {
  const kind = reader.uint32(what);
  if (kind < VALUE_BYTES.length) return kind;
  throw new InputError(`${path}: ${what} has a value of the unknown type ${kind}; ${ADVICE}`);
}

function readScalar(reader: Reader, kind: number, what: string, path: string): number | bigint | boolean | string {
  if (kind === STRING) return reader.text(what, MAX_STRING_BYTES);
  const view = reader.view(VALUE_BYTES[kind]!, what);
  switch (kind) {
    case 0:
      return view.getUint8(0);
    case 1:
      return view.getInt8(0);
    case 2:
      return view.getUint16(0, true);
    case 3:
      return view.getInt16(0, true);
    case 4:
      return view.getUint32(0, true);
    case 5:
      return view.getInt32(0, true);
    case 6:
      return view.getFloat32(0, true);
    case 7: {
      const value = view.getUint8(0);
      if (value > 1) throw new InputError(`${path}: ${what} is neither true nor false but ${value}; ${ADVICE}`);
      return value === 1;
    }
    case 10:
      return exact(view.getBigUint64(0, true));
    case 11:
      return exact(view.getBigInt64(0, true));
    default:
      return view.getFloat64(0, true);
  }
}

function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function readAlignment(metadata: ReadonlyMap<string, GgufValue>, path: string): number {
  const alignment = metadata.get("general.alignment") ?? DEFAULT_ALIGNMENT;
  const isPower = typeof alignment === "number" && alignment > 0 && Number.isInteger(Math.log2(alignment));
  if (isPower && alignment <= MAX_ALIGNMENT) return alignment;
  throw new InputError(
    `${path}: metadata "general.alignment" is ${quote(String(alignment))} and no power of two up to ${MAX_ALIGNMENT}; ${ADVICE}`,
  );
}

interface TensorInfo {
  readonly type: string;
  readonly shape: readonly number[];
  readonly bytes: number;
  /** From the beginning of the data. */
  readonly offset: number;
}

function readInfo(reader: Reader, where: string): TensorInfo {
  const dimensions = reader.uint32("a tensor's dimensions");
  if (dimensions === 0 || dimensions > MAX_DIMENSIONS) {
    throw new InputError(`${where} has ${dimensions} dimensions, and 1 to ${MAX_DIMENSIONS} are allowed; ${ADVICE}`);
  }
  const sizes = Array.from({ length: dimensions }, () => reader.uint64("a tensor's size"));
  const id = reader.uint32("a tensor's type");
  const offset = reader.uint64("a tensor's offset");
  const type = tensorType(id);
  if (!type) {
    throw new InputError(`${where} has the unknown type ${id}; requantize the model to Q8_0, say, with llama-quantize`);
  }
  let values = 1;
  for (const size of sizes) {
    if (size === 0) throw new InputError(`${where} has a size of 0; ${ADVICE}`);
    values *= size;
    if (values > Number.MAX_SAFE_INTEGER) throw new InputError(`${where} has an impossibly large shape; ${ADVICE}`);
  }
  if (sizes[0]! % type.values !== 0) {
    throw new InputError(`${where} is ${type.name} in rows of ${sizes[0]}, no multiple of ${type.values}; ${ADVICE}`);
  }
  return { type: type.name, shape: sizes.toReversed(), bytes: (values / type.values) * type.bytes, offset };
}

/** Checks that tensors lie one after the other, each at a multiple of the alignment, and within the file. */
function place(
  infos: ReadonlyMap<string, TensorInfo>,
  dataStart: number,
  alignment: number,
  fileSize: number,
  path: string,
): GgufTensor[] {
  let expected = 0;
  const tensors: GgufTensor[] = [];
  for (const [name, { type, shape, bytes, offset }] of infos) {
    const where = `${path}: tensor ${quote(name)}`;
    if (offset !== expected) {
      const how = offset < expected ? "overlaps the one before" : "leaves a gap";
      throw new InputError(
        `${where} begins at byte ${offset} of the data instead of ${expected}: it ${how}; ${ADVICE}`,
      );
    }
    const end = dataStart + offset + bytes;
    if (!(end <= fileSize)) {
      throw new InputError(
        `${where} ends at byte ${end}, and the whole file has ${fileSize}; it was cut off or ${ADVICE}`,
      );
    }
    tensors.push({ name, type, shape, begin: dataStart + offset, end });
    expected = align(offset + bytes, alignment);
  }
  return tensors;
}

function align(position: number, alignment: number): number {
  return Math.ceil(position / alignment) * alignment;
}

/** Reads one thing after the other; what the file has no bytes for is an InputError before anything is made of it. */
function createReader(bytes: Uint8Array, fileSize: number, path: string) {
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const numbers = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  let elements = 0;

  const take = (length: number, what: string): Uint8Array => {
    if (length > fileSize - at) {
      throw new InputError(`${path}: ends inside ${what}; it was cut off or ${ADVICE}`);
    }
    if (length > bytes.length - at) throw MORE;
    at += length;
    return bytes.subarray(at - length, at);
  };
  const view = (length: number, what: string): DataView => {
    take(length, what);
    return new DataView(numbers.buffer, numbers.byteOffset + at - length, length);
  };
  const uint32 = (what: string): number => {
    take(4, what);
    return numbers.getUint32(at - 4, true);
  };
  const uint64 = (what: string): number => {
    take(8, what);
    const value = numbers.getBigUint64(at - 8, true);
    if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
    throw new InputError(`${path}: ${what} is given as ${value}, an impossible number; ${ADVICE}`);
  };
  return {
    take,
    view,
    uint32,
    uint64,
    position: (): number => at,
    /** A number of things that take at least `least` bytes each. */
    count(what: string, limit: number, least: number): number {
      const count = uint64(what);
      if (count > limit)
        throw new InputError(`${path}: ${what} is ${count}, more than the limit of ${limit}; ${ADVICE}`);
      if (count * least > fileSize - at) {
        throw new InputError(
          `${path}: ${what} is ${count}, more than the file has room for; it was cut off or ${ADVICE}`,
        );
      }
      return count;
    },
    /** Takes from what all arrays together may have. */
    spend(count: number, what: string): void {
      elements += count;
      if (elements <= MAX_ARRAY_ELEMENTS) return;
      throw new InputError(
        `${path}: with ${what} its arrays have ${elements} elements, more than the limit of ${MAX_ARRAY_ELEMENTS}`,
      );
    },
    text(what: string, limit: number): string {
      const length = uint64(what);
      if (length > limit) {
        throw new InputError(
          `${path}: ${what} is a text of ${length} bytes, more than the limit of ${limit}; ${ADVICE}`,
        );
      }
      if (length === 0) return "";
      const encoded = take(length, what);
      try {
        return strict.decode(encoded);
      } catch (cause) {
        throw new InputError(`${path}: ${what} holds text that is not UTF-8; ${ADVICE}`, { cause });
      }
    },
  };
}
