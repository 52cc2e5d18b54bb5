import { narrowByKernel, widenByKernel } from "./bfloat16.js";
import { bytesOf } from "./matrix.js";

/** Bytes per element of the types that safetensors defines and pare knows by name. */
export const DTYPE_BYTES = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
} as const;

export type DType = keyof typeof DTYPE_BYTES;

/** The types that weights may be stored in. */
export type FloatDType = "F32" | "F16" | "BF16";

export function isFloatDType(dtype: DType): dtype is FloatDType {
  return dtype === "F32" || dtype === "F16" || dtype === "BF16";
}

/** The bits of the least magnitude that rounds to infinity: half a unit in the last place above the largest finite number. */
const OVERFLOW: Readonly<Record<FloatDType, number>> = { F32: 0x7f800000, F16: 0x477ff000, BF16: 0x7f7f8000 };

/** Index of the first value that is NaN, infinite, or would become infinite when rounded to `dtype`; -1 if there is none. */
export function firstNonFinite(values: Float32Array, dtype: FloatDType = "F32"): number {
  const bits = signedBitsOf(values);
  const carry = 0x80000000 - OVERFLOW[dtype];
  let carried = 0;
  for (let i = 0; i < bits.length; i++) carried |= (bits[i]! & 0x7fffffff) + carry;
  return carried >= 0 ? -1 : bits.findIndex((one) => (one & 0x7fffffff) >= OVERFLOW[dtype]);
}

/** Index of the first bfloat16 number, given as its bits, that is NaN or infinite; -1 if there is none. */
export function firstNonFiniteBfloat16(halves: Uint16Array): number {
  const isEven = halves.byteOffset % 4 === 0;
  const pairs = isEven ? new Int32Array(halves.buffer, halves.byteOffset, halves.length >> 1) : [];
  let carried = 0;
  // The exponent's bits, all set, carry into the sign's place: of two numbers at a time.
  for (let i = 0; i < pairs.length; i++) carried |= (pairs[i]! & 0x7fff7fff) + 0x00800080;
  for (let i = 2 * pairs.length; i < halves.length; i++) carried |= (halves[i]! & 0x7fff) + 0x80;
  return (carried & 0x80008000) === 0 ? -1 : halves.findIndex((one) => (one & 0x7fff) >= 0x7f80);
}

/**
 * The little-endian elements in `bytes` as float32: exact, NaN payloads included.
 * Writes to `into` (one place per element) when it is given, and returns it.
 */
export function widen(
  bytes: Uint8Array,
  dtype: FloatDType,
  into: Float32Array = new Float32Array(bytes.length / DTYPE_BYTES[dtype]),
): Float32Array {
  convert(bytes, dtype, into);
  return into;
}

/** As widen, into `into`; returns the index of the first element that is NaN or infinite, -1 if there is none. */
export function widenChecked(bytes: Uint8Array, dtype: FloatDType, into: Float32Array): number {
  const finite = convert(bytes, dtype, into);
  const index = firstNonFinite(into.subarray(finite));
  return index < 0 ? -1 : finite + index;
}

/** Returns how many elements, from the first on, it saw to be finite. */
function convert(bytes: Uint8Array, dtype: FloatDType, into: Float32Array): number {
  const out = bitsOf(into);
  const { buffer, byteOffset } = aligned(bytes, DTYPE_BYTES[dtype]);
  if (dtype === "F32") {
    out.set(new Uint32Array(buffer, byteOffset, into.length));
    return 0;
  }
  const halves = new Uint16Array(buffer, byteOffset, into.length);
  if (dtype === "BF16") {
    const bits = signedBitsOf(into);
    const { share, areFinite } = widenByKernel(halves, out);
    for (let i = share; i < halves.length; i++) bits[i] = halves[i]! << 16;
    return areFinite ? share : 0;
  }
  halfTable ??= widenedHalves();
  const table = halfTable;
  for (let i = 0; i < halves.length; i++) out[i] = table[halves[i]!]!;
  return 0;
}

/** float32 values as little-endian elements of `dtype`, rounded to nearest, ties to even (IEEE 754); too large ones become infinite. */
export function narrow(values: Float32Array, dtype: FloatDType): Uint8Array {
  if (dtype === "F32") return new Uint8Array(bitsOf(values).slice().buffer);
  const halves = new Uint16Array(values.length);
  if (dtype === "BF16") {
    toBfloat16(values, halves);
  } else {
    const bits = signedBitsOf(values);
    for (let i = 0; i < bits.length; i++) halves[i] = toHalf(bits[i]!);
  }
  return new Uint8Array(halves.buffer);
}

/** float32 values as bits of bfloat16, rounded likewise, into `halves`. */
export function toBfloat16(values: Float32Array, halves: Uint16Array): void {
  const bits = signedBitsOf(values);
  for (let i = narrowByKernel(bits, halves); i < bits.length; i++) halves[i] = roundedHalf(bits[i]!);
}

/** The numbers that bits of bfloat16 are. */
export function fromBfloat16(halves: Uint16Array): Float32Array {
  return widen(bytesOf(halves), "BF16");
}

/** Signed, because 32-bit integer arithmetic in JavaScript is: unsigned values would become doubles. */
function signedBitsOf({ buffer, byteOffset, length }: Float32Array): Int32Array {
  return new Int32Array(buffer, byteOffset, length);
}

/** The values as they will be read again when they are stored as `dtype`: the same array where nothing has to be rounded. */
export function rounded(values: Float32Array, dtype: FloatDType): Float32Array {
  const bits = signedBitsOf(values);
  if (dtype === "F32" || (dtype === "BF16" && isExact(bits))) return values;
  return widen(narrow(values, dtype), dtype);
}

/** Whether these float32 numbers are bfloat16 numbers. */
function isExact(bits: Int32Array): boolean {
  let low = 0;
  for (let i = 0; i < bits.length; i++) low |= bits[i]!;
  return (low & 0xffff) === 0;
}

function roundedHalf(bits: number): number {
  // A NaN keeps its upper payload, and must not become infinity when that part is zero.
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | ((bits & 0x7f0000) === 0 ? 0x40 : 0);
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

function toHalf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) {
    const payload = (magnitude >>> 13) & 0x3ff;
    return sign | 0x7c00 | (payload === 0 ? 0x200 : payload);
  }
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and above
  if (magnitude >= 0x38800000) {
    // A normal half (2^-14 and above): exponent bias 127 becomes 15, 23 fraction bits become 10.
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  if (magnitude <= 0x33000000) return sign; // 2^-25 is the tie between 0 and the least subnormal
  // A subnormal half counts units of 2^-24.
  const shift = 126 - (magnitude >>> 23);
  const significand = (magnitude & 0x7fffff) | 0x800000;
  return sign | ((significand + (1 << (shift - 1)) - 1 + ((significand >>> shift) & 1)) >>> shift);
}

/** float32 bits of every half; made when the first F16 tensor is read. */
let halfTable: Uint32Array | undefined;

function widenedHalves(): Uint32Array {
  const table = new Uint32Array(1 << 16);
  const subnormals = bitsOf(Float32Array.from({ length: 1 << 10 }, (_, i) => i * 2 ** -24));
  for (let half = 0; half < table.length; half++) {
    const sign = (half & 0x8000) << 16;
    const exponent = (half >>> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 0) table[half] = sign | subnormals[fraction]!;
    else table[half] = sign | ((exponent === 31 ? 255 : exponent + 112) << 23) | (fraction << 13);
  }
  return table;
}

function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

function aligned(bytes: Uint8Array, size: number): Uint8Array {
  return bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
}
