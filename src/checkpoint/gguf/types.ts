/**
 * The types of GGUF tensors, as ggml.h numbers them: values to a block, and bytes of a block. What has no size here is known by
 * name only, to be refused by it.
 */

interface TensorType {
  readonly name: string;
  /** Values in a block. */
  readonly values: number;
  /** Bytes of a block. */
  readonly bytes: number;
}

const type = (name: string, values: number, bytes: number): TensorType => ({ name, values, bytes });

const TYPES: ReadonlyMap<number, TensorType> = new Map([
  [0, type("F32", 1, 4)],
  [1, type("F16", 1, 2)],
  [2, type("Q4_0", 32, 18)],
  [3, type("Q4_1", 32, 20)],
  [6, type("Q5_0", 32, 22)],
  [7, type("Q5_1", 32, 24)],
  [8, type("Q8_0", 32, 34)],
  [9, type("Q8_1", 32, 36)],
  [10, type("Q2_K", 256, 84)],
  [11, type("Q3_K", 256, 110)],
  [12, type("Q4_K", 256, 144)],
  [13, type("Q5_K", 256, 176)],
  [14, type("Q6_K", 256, 210)],
  [15, type("Q8_K", 256, 292)],
  [16, type("IQ2_XXS", 256, 66)],
  [17, type("IQ2_XS", 256, 74)],
  [18, type("IQ3_XXS", 256, 98)],
  [19, type("IQ1_S", 256, 50)],
  [20, type("IQ4_NL", 32, 18)],
  [21, type("IQ3_S", 256, 110)],
  [22, type("IQ2_S", 256, 82)],
  [23, type("IQ4_XS", 256, 136)],
  [24, type("I8", 1, 1)],
  [25, type("I16", 1, 2)],
  [26, type("I32", 1, 4)],
  [27, type("I64", 1, 8)],
  [28, type("F64", 1, 8)],
  [29, type("IQ1_M", 256, 56)],
  [30, type("BF16", 1, 2)],
  [34, type("TQ1_0", 256, 54)],
  [35, type("TQ2_0", 256, 66)],
  [39, type("MXFP4", 32, 17)],
  [40, type("NVFP4", 64, 36)],
  [41, type("Q1_0", 128, 18)],
]);

/** The type of that number, or undefined. */
export function tensorType(id: number): TensorType | undefined {
  return TYPES.get(id);
}

/** The types whose values pare reads. */
export const READ_TYPES = [
  "F32",
  "F16",
  "BF16",
  "Q8_0",
  "Q6_K",
  "Q5_K",
  "Q5_1",
  "Q5_0",
  "Q4_K",
  "Q4_1",
  "Q4_0",
  "Q3_K",
  "Q2_K",
] as const;

export type ReadType = (typeof READ_TYPES)[number];

export function isReadType(name: string): name is ReadType {
  return (READ_TYPES as readonly string[]).includes(name);
}

/** The size of a type's blocks. */
export function tensorBlock(name: ReadType): TensorType {
  return [...TYPES.values()].find((known) => known.name === name)!;
}

/** The number of a type by its name, in any case. */
export function typeId(name: string): number {
  for (const [id, known] of TYPES) if (known.name === name.toUpperCase()) return id;
  throw new Error(`no type ${name}`);
}
