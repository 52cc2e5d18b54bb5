import { widen } from "../../tensor/dtype.js";
import type { ReadType } from "./types.js";

/**
 * Blocks of ggml's quantized types as float32, bit for bit what the `gguf` package's dequantize and ggml-quants.c give. The
 * products of a block's half-precision scale and its small integers are exact in float64, so that every value is rounded once,
 * when it is stored.
 */
type Dequantize = (bytes: Uint8Array, into: Float32Array) => void;

/** Values of a K block. */
const K = 256;

/** The values in `bytes`, whole blocks of `type`. `into` has a place for each. */
export function dequantize(bytes: Uint8Array, type: ReadType, into: Float32Array): void {
  if (type === "F32" || type === "F16" || type === "BF16") widen(bytes, type, into);
  else QUANTIZED[type](bytes, into);
}

const QUANTIZED: Readonly<Record<Exclude<ReadType, "F32" | "F16" | "BF16">, Dequantize>> = {
  Q4_0: (bytes, into) =>
    eachBlock(bytes, 18, into, 32, (at, to) => {
      const d = halfAt(bytes, at);
      for (let i = 0; i < 16; i++) {
        const pair = bytes[at + 2 + i]!;
        into[to + i] = d * ((pair & 15) - 8);
        into[to + 16 + i] = d * ((pair >> 4) - 8);
      }
    }),
  Q4_1: (bytes, into) =>
    eachBlock(bytes, 20, into, 32, (at, to) => {
      const d = halfAt(bytes, at);
      const least = halfAt(bytes, at + 2);
      for (let i = 0; i < 16; i++) {
        const pair = bytes[at + 4 + i]!;
        into[to + i] = d * (pair & 15) + least;
        into[to + 16 + i] = d * (pair >> 4) + least;
      }
    }),
  Q5_0: (bytes, into) =>
    eachBlock(bytes, 22, into, 32, (at, to) => {
      const d = halfAt(bytes, at);
      for (let i = 0; i < 16; i++) {
        const pair = bytes[at + 6 + i]!;
        into[to + i] = d * (((pair & 15) | (bitAt(bytes, at + 2, i) << 4)) - 16);
        into[to + 16 + i] = d * (((pair >> 4) | (bitAt(bytes, at + 2, 16 + i) << 4)) - 16);
      }
    }),
  Q5_1: (bytes, into) =>
    eachBlock(bytes, 24, into, 32, (at, to) => {
      const d = halfAt(bytes, at);
      const least = halfAt(bytes, at + 2);
      for (let i = 0; i < 16; i++) {
        const pair = bytes[at + 8 + i]!;
        into[to + i] = d * ((pair & 15) | (bitAt(bytes, at + 4, i) << 4)) + least;
        into[to + 16 + i] = d * ((pair >> 4) | (bitAt(bytes, at + 4, 16 + i) << 4)) + least;
      }
    }),
  Q8_0: (bytes, into) =>
    eachBlock(bytes, 34, into, 32, (at, to) => {
      const d = halfAt(bytes, at);
      for (let i = 0; i < 32; i++) into[to + i] = d * signed(bytes[at + 2 + i]!);
    }),
  // 16 bytes of scales and minima, 64 of values, d, dmin: 16 groups of 16.
  Q2_K: (bytes, into) =>
    eachBlock(bytes, 84, into, K, (at, to) => {
      const d = halfAt(bytes, at + 80);
      const dmin = halfAt(bytes, at + 82);
      for (let i = 0; i < K; i++) {
        const scale = bytes[at + (i >> 4)]!;
        const q = (bytes[at + 16 + 32 * (i >> 7) + (i & 31)]! >> (2 * ((i >> 5) & 3))) & 3;
        into[to + i] = d * (scale & 15) * q - dmin * (scale >> 4);
      }
    }),
  // 32 bytes of high bits, 64 of low ones, 12 of 6-bit scales, d.
  Q3_K: (bytes, into) =>
    eachBlock(bytes, 110, into, K, (at, to) => {
      const d = halfAt(bytes, at + 108);
      for (let i = 0; i < K; i++) {
        const group = i >> 4;
        const low = (bytes[at + 96 + (group & 7)]! >> (4 * (group >> 3))) & 15;
        const high = (bytes[at + 104 + (group & 3)]! >> (2 * (group >> 2))) & 3;
        const scale = (low | (high << 4)) - 32;
        const q = (bytes[at + 32 + 32 * (i >> 7) + (i & 31)]! >> (2 * ((i >> 5) & 3))) & 3;
        const bit = (bytes[at + (i & 31)]! >> (i >> 5)) & 1;
        into[to + i] = d * scale * (q - (bit === 1 ? 0 : 4));
      }
    }),
  Q4_K: (bytes, into) =>
    eachBlock(bytes, 144, into, K, (at, to) => {
      const d = halfAt(bytes, at);
      const dmin = halfAt(bytes, at + 2);
      for (let group = 0; group < 8; group++) {
        const scale = d * scaleOf(bytes, at + 4, group);
        const least = dmin * minimumOf(bytes, at + 4, group);
        const from = at + 16 + 32 * (group >> 1);
        const shift = 4 * (group & 1);
        for (let i = 0; i < 32; i++) into[to + 32 * group + i] = scale * ((bytes[from + i]! >> shift) & 15) - least;
      }
    }),
  Q5_K: (bytes, into) =>
    eachBlock(bytes, 176, into, K, (at, to) => {
      const d = halfAt(bytes, at);
      const dmin = halfAt(bytes, at + 2);
      for (let group = 0; group < 8; group++) {
        const scale = d * scaleOf(bytes, at + 4, group);
        const least = dmin * minimumOf(bytes, at + 4, group);
        const from = at + 48 + 32 * (group >> 1);
        const shift = 4 * (group & 1);
        for (let i = 0; i < 32; i++) {
          const high = (bytes[at + 16 + i]! >> group) & 1;
          into[to + 32 * group + i] = scale * (((bytes[from + i]! >> shift) & 15) | (high << 4)) - least;
        }
      }
    }),
  // 128 bytes of low nibbles, 64 of high pairs, 16 signed scales, d.
  Q6_K: (bytes, into) =>
    eachBlock(bytes, 210, into, K, (at, to) => {
      const d = halfAt(bytes, at + 208);
      for (let i = 0; i < K; i++) {
        const half = i >> 7;
        const low = (bytes[at + 64 * half + (i & 63)]! >> (4 * ((i >> 6) & 1))) & 15;
        const high = (bytes[at + 128 + 32 * half + (i & 31)]! >> (2 * ((i >> 5) & 3))) & 3;
        into[to + i] = d * signed(bytes[at + 192 + (i >> 4)]!) * ((low | (high << 4)) - 32);
      }
    }),
};

function eachBlock(
  bytes: Uint8Array,
  blockBytes: number,
  into: Float32Array,
  blockValues: number,
  block: (at: number, to: number) => void,
): void {
  for (let at = 0, to = 0; to < into.length; at += blockBytes, to += blockValues) {
    if (at + blockBytes > bytes.length) throw new Error("blocks end early");
    block(at, to);
  }
}

/** The 6-bit scales and minima of a Q4_K or Q5_K block's 8 groups lie in 12 bytes: low bits of both, then the rest. */
function scaleOf(bytes: Uint8Array, at: number, group: number): number {
  if (group < 4) return bytes[at + group]! & 63;
  return (bytes[at + 4 + group]! & 15) | ((bytes[at + group - 4]! >> 2) & 48);
}

function minimumOf(bytes: Uint8Array, at: number, group: number): number {
  if (group < 4) return bytes[at + 4 + group]! & 63;
  return (bytes[at + 4 + group]! >> 4) | ((bytes[at + group]! >> 2) & 48);
}

/** Bit `index` of the bits that begin at `at`. */
function bitAt(bytes: Uint8Array, at: number, index: number): number {
  return (bytes[at + (index >> 3)]! >> (index & 7)) & 1;
}

const signed = (byte: number): number => (byte << 24) >> 24;

/** A little-endian IEEE half. */
function halfAt(bytes: Uint8Array, at: number): number {
  const bits = bytes[at]! | (bytes[at + 1]! << 8);
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}
