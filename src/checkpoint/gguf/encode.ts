/** A value of the metadata, with the type that llama.cpp expects. */
export type Typed =
  | { readonly type: "uint32" | "float32"; readonly value: number }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "strings"; readonly value: readonly string[] }
  | { readonly type: "float32s" | "int32s"; readonly value: readonly number[] };

export const uint32 = (value: number): Typed => ({ type: "uint32", value });
export const float32 = (value: number): Typed => ({ type: "float32", value });
export const string = (value: string): Typed => ({ type: "string", value });

/** A tensor's place in a file to be. */
export interface TensorInfo {
  readonly name: string;
  /** The slowest dimension first. */
  readonly shape: readonly number[];
  readonly type: number;
  readonly bytes: number;
}

export const ALIGNMENT = 32;

export function padded(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/** The header of a GGUF file, version 3, up to where the tensors' data begin. */
export function encodeHeader(metadata: ReadonlyMap<string, Typed>, tensors: readonly TensorInfo[]): Uint8Array {
  const out = createBytes();
  out.raw(new TextEncoder().encode("GGUF"));
  out.uint32(3);
  out.uint64(tensors.length);
  out.uint64(metadata.size);
  for (const [key, value] of metadata) {
    out.text(key);
    encodeValue(out, value);
  }
  let offset = 0;
  for (const { name, shape, type, bytes } of tensors) {
    out.text(name);
    out.uint32(shape.length);
    for (const size of shape.toReversed()) out.uint64(size);
    out.uint32(type);
    out.uint64(offset);
    offset += padded(bytes);
  }
  const bytes = out.bytes();
  const header = new Uint8Array(padded(bytes.length));
  header.set(bytes);
  return header;
}

function encodeValue(out: Bytes, { type, value }: Typed): void {
  switch (type) {
    case "uint32":
      out.uint32(4);
      out.uint32(value);
      break;
    case "float32":
      out.uint32(6);
      out.float32(value);
      break;
    case "bool":
      out.uint32(7);
      out.raw(Uint8Array.of(value ? 1 : 0));
      break;
    case "string":
      out.uint32(8);
      out.text(value);
      break;
    case "strings":
      list(out, 8, value, out.text);
      break;
    case "float32s":
      list(out, 6, value, out.float32);
      break;
    case "int32s":
      list(out, 5, value, out.int32);
      break;
  }
}

function list<T>(out: Bytes, kind: number, values: readonly T[], put: (value: T) => void): void {
  out.uint32(9);
  out.uint32(kind);
  out.uint64(values.length);
  for (const value of values) put(value);
}

type Bytes = ReturnType<typeof createBytes>;

/** Little-endian bytes, one thing after the other. */
function createBytes() {
  let bytes = Buffer.alloc(1 << 16);
  let length = 0;
  /** The place of so many more bytes. */
  const room = (more: number): number => {
    if (length + more > bytes.length) {
      const wider = Buffer.alloc(2 * (length + more));
      bytes.copy(wider);
      bytes = wider;
    }
    length += more;
    return length - more;
  };
  const raw = (part: Uint8Array): void => {
    const at = room(part.length);
    bytes.set(part, at);
  };
  const number = (size: number, write: (at: number) => void): void => {
    const at = room(size);
    write(at);
  };
  const uint64 = (value: number): void => number(8, (at) => bytes.writeBigUInt64LE(BigInt(value), at));
  return {
    raw,
    uint64,
    uint32: (value: number): void => number(4, (at) => bytes.writeUInt32LE(value, at)),
    int32: (value: number): void => number(4, (at) => bytes.writeInt32LE(value, at)),
    float32: (value: number): void => number(4, (at) => bytes.writeFloatLE(value, at)),
    text(value: string): void {
      const encoded = new TextEncoder().encode(value);
      uint64(encoded.length);
      raw(encoded);
    },
    bytes: (): Uint8Array => bytes.subarray(0, length),
  };
}
