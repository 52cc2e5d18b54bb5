import type { ElementType } from "./library.js";

/** bfloat16 numbers, as their bits. */
export type Half = Uint16Array;
export type Numbers = Float32Array | Half;

export const typeOf = (data: Numbers): ElementType => (data instanceof Float32Array ? "float32" : "bfloat16");
