import { InputError } from "../../errors.js";
import { fromBfloat16, rounded } from "../../tensor/dtype.js";
import type { ElementType, Library } from "./library.js";
import { createProducts, type Products } from "./products.js";

/** Products in this precision as this processor has them. Throws InputError where it has none. */
export function openProducts(library: Library, precision: ElementType, threads: number): Products {
  try {
    return checked(createProducts(library, precision, threads));
  } catch (error) {
    if (!(error instanceof InputError) || precision === "float32") throw error;
    return checked(createWidenedProducts(library, threads));
  }
}

function checked(products: Products): Products {
  try {
    products.check();
    return products;
  } catch (error) {
    products.dispose();
    throw error;
  }
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
