import { InputError } from "../../errors.js";
import { fromBfloat16, toBfloat16, widen } from "../../tensor/dtype.js";
import { bytesOf } from "../../tensor/matrix.js";
import { mapOthers } from "./after.js";
import type { ElementType, Library } from "./library.js";
import { type Half, type Numbers, typeOf } from "./numbers.js";
import { createProducts, denseStrides, type Matrices, type Products } from "./products.js";

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
 * Products in bfloat16 on a processor that has none: factors are widened to float32, in which a product of two bfloat16 numbers is
 * exact (8 bits times 8), so that the sums are what they are in bfloat16, at float32's speed.
 */
export function createWidenedProducts(library: Library, threads: number): Products {
  const rooms: Uint8Array[] = [];
  const roomFor = (index: number, length: number): Float32Array => {
    const bytes = Float32Array.BYTES_PER_ELEMENT * length;
    if ((rooms[index]?.length ?? 0) < bytes) rooms[index] = library.aligned(bytes);
    return new Float32Array(rooms[index]!.buffer, rooms[index]!.byteOffset, length);
  };
  const widenedIn = (index: number, half: Half) => widen(bytesOf(half), "BF16", roomFor(index, half.length));
  const asFloats = (index: number, data: Numbers) => (isHalf(data) ? widenedIn(index, data) : data);
  /** Lets `make` write float32 and rounds that to where it belongs. */
  const roundedTo = (index: number, y: Numbers, make: (y: Float32Array) => void) => {
    const floats = isHalf(y) ? roomFor(index, y.length) : y;
    make(floats);
    if (isHalf(y)) toBfloat16(floats, y);
  };
  const products = createProducts(library, "float32", threads, (weights) => {
    if (isHalf(weights)) return fromBfloat16(weights);
    const half = new Uint16Array(weights.length);
    toBfloat16(weights, half);
    return fromBfloat16(half);
  });
  const { softmax } = products;
  return {
    ...products,
    precision: "bfloat16",
    // What is packed, and the float32 numbers that it is packed from.
    packedBytes: 2 * products.packedBytes,
    round: toBfloat16,
    linear({ data, ...sizes }, weight, bias, y, after) {
      const others = mapOthers(after, (other) => asFloats(1, other));
      const x = { data: asFloats(0, data), ...sizes };
      roundedTo(2, y, (floats) => products.linear(x, weight, bias, floats, others));
    },
    addGram: ({ data, ...sizes }, tiles) => products.addGram({ data: asFloats(0, data), ...sizes }, tiles),
    multiply(a, b, c) {
      const [left, right] = [a, b].map((one, index) => {
        const { data } = one;
        if (!isHalf(data)) return one;
        const { strides, length, runs } = compact(one);
        const floats = roomFor(index, length);
        for (const { from, to, count } of runs) {
          widen(bytesOf(numbersAt(data, from, count)), "BF16", floats.subarray(to, to + count));
        }
        return { ...one, data: floats, strides };
      });
      const { data } = c;
      if (!isHalf(data)) {
        products.multiply(left!, right!, c);
        return;
      }
      const { strides, length, runs } = compact(c);
      const floats = roomFor(2, length);
      products.multiply(left!, right!, { data: floats, sizes: c.sizes, strides });
      for (const { from, to, count } of runs) {
        toBfloat16(floats.subarray(to, to + count), numbersAt(data, from, count));
      }
    },
    softmax: softmax && ((x, y, columns) => roundedTo(0, y, (floats) => softmax(x, floats, columns))),
  };
}

function isHalf(data: Numbers): data is Half {
  return typeOf(data) === "bfloat16";
}

/** So many numbers from one on, of an array that may say no more than where its matrices begin. */
function numbersAt({ buffer, byteOffset }: Half, from: number, count: number): Half {
  return new Uint16Array(buffer, byteOffset + Uint16Array.BYTES_PER_ELEMENT * from, count);
}

/** Numbers that lie side by side, and where they come to lie. */
interface Run {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

/** Matrices in the order that they have in memory, without the gaps. */
function compact({ sizes, strides = denseStrides(sizes) }: Omit<Matrices, "data">) {
  const inner = sizes.map((_, i) => i).sort((i, j) => strides[i]! - strides[j]! || sizes[i]! - sizes[j]!);
  const dense = sizes.map(() => 0);
  let length = 1;
  let count = 1;
  let starts = [0];
  for (const i of inner) {
    const [size, stride] = [sizes[i]!, strides[i]!];
    dense[i] = length;
    if (starts.length === 1 && (size === 1 || stride === count)) count *= size;
    else starts = Array.from({ length: size }, (_, at) => starts.map((start) => at * stride + start)).flat();
    length *= size;
  }
  const runs = starts.map((from, i): Run => ({ from, to: i * count, count }));
  return { strides: dense, length, runs };
}
