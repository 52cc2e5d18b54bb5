/** Element types that safetensors defines and pare knows by name; only the floats of FLOAT_DTYPES can be computed with. */
export const DTYPE_BYTES = {
  F64: 8, F32: 4, F16: 2, BF16: 2, F8_E4M3: 1, F8_E5M2: 1, I64: 8, I32: 4, I16: 2, I8: 1, U64: 8, U32: 4, U16: 2, U8: 1, BOOL: 1,
} as const;

export type DType = keyof typeof DTYPE_BYTES;
