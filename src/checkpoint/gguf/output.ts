/** What matrices can be written as. */
export const WRITTEN_TYPES = ["f32", "f16", "bf16", "q8_0", "q4_0"] as const;

export type WrittenType = (typeof WRITTEN_TYPES)[number];

/** Where a compressed model lies in Hugging Face's layout until it is written as GGUF. */
export function folderBefore(output: string): string {
  return `${output}.folder`;
}
