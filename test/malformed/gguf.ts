/** GGUF files of any kind, right or wrong, put together by hand. */

const encoder = new TextEncoder();

export const u32 = (value: number): Uint8Array => new Uint8Array(new Uint32Array([value]).buffer);
export const u64 = (value: number | bigint): Uint8Array => new Uint8Array(new BigUint64Array([BigInt(value)]).buffer);
export const join = (...parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts));

/** A text as GGUF has it; `length` may lie. */
export const text = (value: string | Uint8Array, length?: number | bigint): Uint8Array => {
  const bytes = typeof value === "string" ? encoder.encode(value) : value;
  return join(u64(length ?? bytes.length), bytes);
};

/** A key with a value: numbers as uint32, texts, and bytes as they are (with their type). */
export const pair = (key: string, value: number | string | Uint8Array): Uint8Array => {
  if (typeof value === "number") return join(text(key), u32(4), u32(value));
  return typeof value === "string" ? join(text(key), u32(8), text(value)) : join(text(key), value);
};

/** A tensor's description: sizes fastest first. */
export const info = (
  name: string,
  sizes: readonly (number | bigint)[],
  type: number,
  offset: number | bigint,
  dimensions = sizes.length,
): Uint8Array => join(text(name), u32(dimensions), ...sizes.map(u64), u32(type), u64(offset));

interface Parts {
  readonly magic?: string;
  readonly version?: number;
  readonly tensors?: readonly Uint8Array[];
  readonly tensorCount?: number | bigint;
  readonly pairs?: readonly Uint8Array[];
  readonly pairCount?: number | bigint;
  /** Bytes of data after the header, which is padded to 32. */
  readonly data?: number | Uint8Array;
}

export function gguf({
  magic = "GGUF",
  version = 3,
  tensors = [],
  tensorCount,
  pairs = [],
  pairCount,
  data = 0,
}: Parts): Uint8Array {
  const head = join(
    encoder.encode(magic),
    u32(version),
    u64(tensorCount ?? tensors.length),
    u64(pairCount ?? pairs.length),
    ...pairs,
    ...tensors,
  );
  const bytes = typeof data === "number" ? new Uint8Array(data) : data;
  if (bytes.length === 0) return head;
  return join(head, new Uint8Array((32 - (head.length % 32)) % 32), bytes);
}
