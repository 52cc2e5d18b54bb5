import type { ElementType } from "./library.js";

/** bfloat16 numbers, as their bits. */
type Half = Uint16Array;
export type Numbers = Float32Array | Half;

/** How factors of products are kept: as float32, as bfloat16, or as float32 that is rounded to bfloat16. */
export type Kept = ElementType | "rounded";

export const typeOf = (data: Numbers): ElementType => (data instanceof Float32Array ? "float32" : "bfloat16");
