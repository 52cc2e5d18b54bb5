import { narrow } from "../../tensor/dtype.js";
import type { WrittenType } from "./output.js";

/** Values of a quantized block. */
const BLOCK = 32;
const BYTES = { q8_0: 34, q4_0: 18 } as const;

/**
 * Values as the bytes of a type; quantized, whole blocks of 32 of them. Bit for bit what the `gguf` package and ggml-quants.c
 * give: every step is rounded to float32.
 */
export function quantize(values: Float32Array, type: WrittenType): Uint8Array {
  switch (type) {
    case "f32":
      return narrow(values, "F32");
    case "f16":
      return narrow(values, "F16");
    case "bf16":
      return narrow(values, "BF16");
    default:
      return quantizeBlocks(values, type);
  }
}

function quantizeBlocks(values: Float32Array, type: "q8_0" | "q4_0"): Uint8Array {
  if (values.length % BLOCK !== 0) throw new Error(`${values.length} values are no whole blocks`);
  const blocks = values.length / BLOCK;
  const bytes = new Uint8Array(blocks * BYTES[type]);
  const scales = new Float32Array(blocks);
  const toBlock = type === "q8_0" ? toQ8 : toQ4;
  for (let block = 0; block < blocks; block++) {
    const from = block * BLOCK;
    let largest = 0; // the first of the largest magnitude, with its sign
    for (let i = from; i < from + BLOCK; i++) if (Math.abs(values[i]!) > Math.abs(largest)) largest = values[i]!;
    const scale = Math.fround(type === "q8_0" ? Math.abs(largest) / 127 : largest / -8);
    scales[block] = scale;
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    // Of the least float32 numbers the inverse is infinite, and their half-precision scale 0.
    toBlock(values, from, Number.isFinite(inverse) ? inverse : 0, bytes, block * BYTES[type] + 2);
  }
  const halves = narrow(scales, "F16");
  for (let block = 0; block < blocks; block++)
    bytes.set(halves.subarray(2 * block, 2 * block + 2), block * BYTES[type]);
  return bytes;
}

/** Rounded to nearest, ties away from 0. */
function toQ8(values: Float32Array, from: number, inverse: number, into: Uint8Array, at: number): void {
  for (let i = 0; i < BLOCK; i++) {
    const value = Math.fround(values[from + i]! * inverse);
    const magnitude = Math.floor(Math.abs(value));
    const rounded = magnitude + Math.floor(2 * (Math.abs(value) - magnitude));
    into[at + i] = value < 0 ? -rounded : rounded;
  }
}

function toQ4(values: Float32Array, from: number, inverse: number, into: Uint8Array, at: number): void {
  const quantized = (i: number) => Math.min(15, Math.trunc(Math.fround(Math.fround(values[i]! * inverse) + 8.5)));
  for (let i = 0; i < BLOCK / 2; i++) into[at + i] = quantized(from + i) | (quantized(from + BLOCK / 2 + i) << 4);
}
