import { readFileSync } from "node:fs";

export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array | Float64Array;
}

/** All tensors of a small safetensors file of the tests' own, F32, F64, I64 and U8; the product's reader is tested, not used. */
export function readSafetensors(path: string): Map<string, Tensor> {
  const file = readFileSync(path);
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, 8 + length)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, Tensor>();
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const bytes = Uint8Array.from(file.subarray(8 + length + data_offsets[0], 8 + length + data_offsets[1])).buffer;
    tensors.set(name, { shape, data: numbers(dtype, bytes) });
  }
  return tensors;
}

function numbers(dtype: string, bytes: ArrayBuffer): Float32Array | Float64Array {
  if (dtype === "F32") return new Float32Array(bytes);
  if (dtype === "F64") return new Float64Array(bytes);
  if (dtype === "U8") return Float64Array.from(new Uint8Array(bytes));
  if (dtype === "I64") return Float64Array.from(new BigInt64Array(bytes), Number);
  throw new Error(`dtype ${dtype}`);
}
