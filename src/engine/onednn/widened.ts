import { InputError } from "../../errors.js";
import { fromBfloat16, rounded } from "../../tensor/dtype.js";
import type { ElementType, Library } from "./library.js";
import { createProducts, type Products } from "./products.js";

/** Products in this precision as this processor has them. Throws InputError where it has none. */
export function openProducts(library: Library, precision: ElementType, threads: number): Products {
  const products = createProducts(library, precision, threads);
  try {
    products.check();
    return products;
  } catch (error) {
    products.dispose();
    if (!(error instanceof InputError) || precision === "float32") throw error;
  }
  const widened = createWidenedProducts(library, threads);
  widened.check();
  return widened;
}

/**
 * Products in bfloat16 on a processor that has none: factors are float32 numbers that are rounded to it. A product of two such
 * numbers is exact in float32 (8 bits times 8), so that the sums are what they are in bfloat16, at float32's speed.
 */
export function createWidenedProducts(library: Library, threads: number): Products {
  const products = createProducts(library, "float32", threads, (weights) =>
    weights instanceof Float32Array ? rounded(weights, "BF16") : fromBfloat16(weights),
  );
  // What is packed, and for a moment the float32 numbers that it is packed from.
  return { ...products, operands: "rounded", packedBytes: 2 * products.packedBytes };
}
