import { InputError } from "../../errors.js";
import { type After, mapOthers, othersOf } from "./after.js";
import { ARGUMENT, type Description, type ElementType, type Handle, type Library, type Places } from "./library.js";

/** A linear of one size: y = x · wᵀ (+ bias), and `after`. x [rows, inputs], w [outputs, inputs], y [rows, outputs]. */
export interface LinearSize {
  readonly rows: number;
  readonly inputs: number;
  readonly outputs: number;
  /** How far apart rows of y lie, and of what `after` needs: `outputs` but for a part of a linear. */
  readonly stride: number;
  readonly isBiased: boolean;
  /** Of y; what x and w have is the precision. */
  readonly type: ElementType;
  readonly after: After<ElementType> | undefined;
}

/** Bytes of packed weights that stay in the processor's last cache while all rows go through them, and how many are too many. */
const PART_BYTES = 2 ** 25;
const MOST_BYTES = 2 ** 26;
/** Rows from which weights are read often enough for that to count: more than generation has, so that it packs them in one way only. */
const MANY_ROWS = 1024;

/**
 * The outputs [from, to) that are to be computed at once. Weights of 90 MB as a whole take oneDNN 2.6 1.6 times as long as in parts
 * (4,096 x 11,008 in bfloat16, 2,048 rows, either way round).
 */
export function partsOf(
  precision: ElementType,
  { rows, inputs, outputs }: Pick<LinearSize, "rows" | "inputs" | "outputs">,
): { readonly from: number; readonly to: number }[] {
  const bytes = 2 * inputs * outputs;
  const isWhole = precision !== "bfloat16" || rows < MANY_ROWS || bytes <= MOST_BYTES;
  const count = isWhole ? 1 : Math.ceil(bytes / PART_BYTES);
  const size = isWhole ? outputs : 64 * Math.ceil(outputs / count / 64);
  return Array.from({ length: Math.ceil(outputs / size) }, (_, i) => ({
    from: i * size,
    to: Math.min((i + 1) * size, outputs),
  }));
}

/** The order that a matrix lies in, as numbers of either type, and the one that it is to be copied to before it is used. */
export interface Packing {
  plain(type: ElementType): Description;
  readonly wanted: Description;
}

/** How oneDNN is to compute a linear; the packing is that of w. */
export interface DescribedLinear extends Packing {
  readonly description: Handle;
  /** The arguments, in this order: x, w, y, bias, what `after` needs. */
  readonly places: Places;
}

/**
 * A matrix product, whose weights are kept in the order that it likes. Where there is none such in float32 (AVX2), and products copy
 * parts of both matrices anew in every run, a convolution of width 1 that goes over the rows: the same sums, from weights
 * in its own order.
 */
export function describeLinear(library: Library, precision: ElementType, size: LinearSize): DescribedLinear {
  const product = asProduct(library, precision, size);
  if (precision !== "float32" || !library.copiesFactors(product.description)) return product;
  const convolution = asConvolution(library, size);
  if (!convolution) return product;
  library.destroy("primitive_desc", product.description);
  return convolution;
}

function asProduct(library: Library, precision: ElementType, size: LinearSize): DescribedLinear {
  const { rows, inputs, outputs, stride, isBiased, type } = size;
  const matrix = (sizes: readonly [number, number], of: ElementType, apart = sizes[1]) =>
    library.describe(sizes, of, [apart, 1]);
  const a = matrix([rows, inputs], precision);
  const b = library.describe([inputs, outputs], precision, "any");
  const c = matrix([rows, outputs], type, stride);
  const bias = isBiased ? matrix([1, outputs], "float32") : undefined;
  const after = mapOthers(size.after, (of) => matrix([rows, outputs], of, stride));
  const description = library.product({ a, b, c, ...(bias && { bias }), ...(after && { after }) });
  const plain = (of: ElementType) => library.describe([inputs, outputs], of, [1, inputs]);
  return described(library, description, plain, a, c, bias, after);
}

/** All in float32 and without gaps. Undefined where oneDNN has none that is made for this processor. */
export function asConvolution(
  library: Library,
  size: Omit<LinearSize, "type" | "stride">,
): DescribedLinear | undefined {
  const { rows, inputs, outputs, isBiased } = size;
  // One picture, its channels, and the rows as its width: [1, channels, rows], channels side by side.
  const picture = (channels: number) =>
    library.describe([1, channels, rows], "float32", [channels * rows, 1, channels]);
  const a = picture(inputs);
  const b = library.describe([outputs, inputs, 1], "float32", "any");
  const c = picture(outputs);
  const bias = isBiased ? library.describe([outputs], "float32", [1]) : undefined;
  const after = mapOthers(size.after, () => c);
  let description: Handle;
  try {
    description = library.convolution({ a, b, c, ...(bias && { bias }), ...(after && { after }) });
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
  if (!/^(jit|brg)/.test(library.implementation(description))) {
    library.destroy("primitive_desc", description);
    return undefined;
  }
  const plain = (of: ElementType) => library.describe([outputs, inputs, 1], of, [inputs, 1, 1]);
  return described(library, description, plain, a, c, bias, after);
}

function described(
  library: Library,
  description: Handle,
  plain: Packing["plain"],
  a: Description,
  c: Description,
  bias: Description | undefined,
  after: After<Description> | undefined,
): DescribedLinear {
  const wanted = library.likedWeights(description);
  const places: (readonly [number, Description])[] = [
    [ARGUMENT.from, a],
    [ARGUMENT.weights, wanted],
    [ARGUMENT.to, c],
  ];
  if (bias) places.push([ARGUMENT.bias, bias]);
  for (const other of othersOf(after)) places.push([library.otherArgument, other]);
  return { description, wanted, plain, places };
}
