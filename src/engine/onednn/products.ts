import { InputError } from "../../errors.js";
import { type After, mapOthers, othersOf } from "./after.js";
import { type DescribedGram, describeGram, type GramSize } from "./grams.js";
import { ARGUMENT, type Description, type ElementType, type Library } from "./library.js";
import { describeLinear, type LinearSize, partsOf } from "./linears.js";
import { type Kept, type Numbers, typeOf } from "./numbers.js";
import { createPacker, type Layout } from "./packing.js";
import { createPreparedStore, LEAST_COPY, type Prepared } from "./prepared.js";

/**
 * The products of a block, and softmax, over memory of JavaScript's or of a kernel's. Factors are rounded to the precision;
 * sums are float32, and so are results, but for what another product reads next.
 */
export interface Products {
  /** How factors are to be given, but for weights. */
  readonly operands: Kept;
  /** Bytes that a weight takes at most while it is packed, and after. */
  readonly packedBytes: number;
  /**
   * y = x · wᵀ (+ bias), and `after`. x [rows, in], w [out, in] in float32 or the precision, y [rows, out] and what it is multiplied
   * by or is added to it.
   */
  linear(x: Operand, weight: Numbers, bias: Float32Array | undefined, y: Numbers, after?: After<Float32Array>): void;
  /** Adds xᵀ · x, tile by tile. */
  addGram(x: Operand, tiles: readonly GramTile[]): void;
  /**
   * c = a · b, matrix by matrix, with one of b's for several of a's where it has fewer. If it is to be packed, b is copied first to the
   * order and type that the product likes, where it likes any.
   */
  multiply(a: Matrices, b: Matrices & { readonly isPacked?: true }, c: Matrices): void;
  /** y = the softmax of every row of so many numbers; undefined where oneDNN has none between types. */
  readonly softmax: ((x: Float32Array, y: Numbers, columns: number) => void) | undefined;
  /** Throws InputError where oneDNN has no such products for this processor, or plain loops alone. */
  check(): void;
  dispose(): void;
}

interface Columns {
  readonly from: number;
  readonly to: number;
}

/** The rows and columns [from, to) of a Gram matrix, and its sums there. */
interface GramTile {
  readonly row: Columns;
  readonly column: Columns;
  readonly sum: Float32Array;
}

/** A matrix as products are to be given it. */
export interface Operand {
  readonly data: Numbers;
  readonly rows: number;
  readonly columns: number;
}

/** Matrices, [..., rows, columns]. */
interface Matrices {
  readonly data: Numbers;
  readonly sizes: readonly number[];
  /** How far apart elements lie; row by row and without gaps where it is left out. */
  readonly strides?: readonly number[];
}

function denseStrides(sizes: readonly number[]): number[] {
  return sizes.map((_, i) => sizes.slice(i + 1).reduce((product, size) => product * size, 1));
}

/** A product, with the order that it likes its weights in. */
interface Linear extends Prepared {
  readonly layout: Layout;
}

interface Multiplication extends Prepared {
  /** Whether b is copied first. */
  readonly packs: boolean;
}

type Gram = Prepared & Pick<DescribedGram, "copies"> & Pick<GramSize, "m" | "n">;

/** Multiplications below which waking another thread takes longer than the work. */
const LEAST_PRODUCT = 2 ** 20;

/** Weights are packed from what `prepareWeights` makes of them, if that is given. */
export function createProducts(
  library: Library,
  precision: ElementType,
  threads: number,
  prepareWeights?: (weights: Numbers) => Numbers,
): Products {
  const store = createPreparedStore(library, threads);
  const { keep, takeThreads, ready, run, copy } = store;
  const packer = createPacker(library, store, prepareWeights);
  const rowMajor = (rows: number, columns: number, type: ElementType) =>
    library.describe([rows, columns], type, [columns, 1]);

  const prepareLinear = (size: LinearSize): Linear => {
    const { rows, inputs, outputs, stride, isBiased, type, after } = size;
    return keep(`linear ${rows} ${inputs} ${outputs} ${stride} ${isBiased} ${type} ${JSON.stringify(after)}`, () => {
      const count = takeThreads(rows * inputs * outputs, LEAST_PRODUCT);
      const described = describeLinear(library, precision, size);
      const layout = packer.layoutOf(described, inputs, outputs);
      return { ...ready(count, described.description, described.places), layout };
    });
  };

  const prepareGram = (size: GramSize): Gram =>
    keep(`gram ${Object.values(size)}`, () => {
      const count = takeThreads(size.rows * size.m * size.n, LEAST_PRODUCT);
      const { description, places, copies } = describeGram(library, precision, size);
      return { ...ready(count, description, places), m: size.m, n: size.n, ...(copies && { copies }) };
    });

  /** Memory for what is copied before a product, used again and again. */
  const rooms: Uint8Array[] = [];
  const roomFor = (index: number, of: Description): Uint8Array => {
    const bytes = library.bytes(of);
    if ((rooms[index]?.length ?? 0) < bytes) rooms[index] = library.aligned(bytes);
    return rooms[index]!;
  };

  const makeSoftmax = library.softmax;
  return {
    operands: precision,
    packedBytes: precision === "bfloat16" ? 2 : 4,
    linear(x, weight, bias, y, after) {
      const outputs = y.length / x.rows;
      if (x.rows === 0) return; // an expert that no token goes to
      const { rows, columns: inputs } = x;
      for (const { from, to } of partsOf(precision, { rows, inputs, outputs })) {
        const linear = prepareLinear({
          rows,
          inputs,
          outputs: to - from,
          stride: outputs,
          isBiased: bias !== undefined,
          type: typeOf(y),
          after: mapOthers(after, typeOf),
        });
        const weights = packer.packed(weight, linear.layout, inputs, from, to);
        const others = [...(bias ? [bias] : []), ...othersOf(after)].map((other) => other.subarray(from));
        run(linear, x.data, weights, y.subarray(from), ...others);
      }
    },
    multiply(a, b, c) {
      const of = ({ sizes, strides = denseStrides(sizes) }: Matrices, type: ElementType | "any") =>
        library.describe(sizes, type === "any" ? typeOf(a.data) : type, type === "any" ? "any" : strides);
      const key = [a, b, c].map(({ data, sizes, strides }) => `${typeOf(data)} ${sizes} ${strides}`).join(" ");
      const work = a.sizes.reduce((product, size) => product * size, b.sizes.at(-1)!);
      const product = keep(`multiply ${key} ${b.isPacked}`, (): Multiplication => {
        const used = takeThreads(work, LEAST_PRODUCT);
        const [from, to] = [of(a, typeOf(a.data)), of(c, typeOf(c.data))];
        const make = (packs: boolean) => {
          const description = library.product({ a: from, b: of(b, packs ? "any" : typeOf(b.data)), c: to });
          return { description, packs };
        };
        let made = make(b.isPacked ?? false);
        if (made.packs && typeOf(a.data) === typeOf(b.data) && library.copiesFactors(made.description)) {
          library.destroy("primitive_desc", made.description);
          made = make(false);
        }
        const prepared = ready(used, made.description, [
          [ARGUMENT.from, from],
          [ARGUMENT.weights, library.likedWeights(made.description)],
          [ARGUMENT.to, to],
        ]);
        return { ...prepared, packs: made.packs };
      });
      if (!product.packs) {
        run(product, a.data, b.data, c.data);
        return;
      }
      const liked = library.likedWeights(product.description);
      const size = b.sizes.reduce((count, one) => count * one, 1);
      const room = roomFor(0, liked);
      run(
        copy(
          `multiply ${key}`,
          size,
          () => of(b, typeOf(b.data)),
          () => liked,
        ),
        b.data,
        room,
      );
      run(product, a.data, room, c.data);
    },
    softmax:
      makeSoftmax &&
      ((x, y, columns) => {
        const rows = x.length / columns;
        const softmax = keep(`softmax ${rows} ${columns} ${typeOf(y)}`, () => {
          const used = takeThreads(x.length, LEAST_COPY);
          const [from, to] = [rowMajor(rows, columns, "float32"), rowMajor(rows, columns, typeOf(y))];
          return ready(used, makeSoftmax(from, to), [
            [ARGUMENT.from, from],
            [ARGUMENT.to, to],
          ]);
        });
        run(softmax, x, y);
      }),
    addGram({ data, rows, columns }, tiles) {
      if (rows === 0) return;
      let copied: Columns | undefined;
      for (const { row, column, sum } of tiles) {
        const gram = prepareGram({ rows, stride: columns, m: row.to - row.from, n: column.to - column.from });
        const [a, b] = [data.subarray(row.from), data.subarray(column.from)];
        if (!gram.copies) {
          run(gram, a, b, sum);
          continue;
        }
        const [left, right] = gram.copies;
        const rooms = [roomFor(0, left.wanted), roomFor(1, right.wanted)] as const;
        const key = `gram ${rows} ${columns} ${gram.m} ${gram.n}`;
        // Tiles of one band of rows follow one another.
        if (copied !== row) packer.pack(`${key} a`, rows * gram.m, left, a, rooms[0]);
        copied = row;
        packer.pack(`${key} b`, rows * gram.n, right, b, rooms[1]);
        run(gram, ...rooms, sum);
      }
    },
    check() {
      const size = {
        rows: 1,
        inputs: 64,
        outputs: 64,
        stride: 64,
        isBiased: false,
        type: "float32",
        after: undefined,
      } as const;
      const code = library.implementation(prepareLinear(size).description);
      if (/\bref/.test(code)) {
        throw new InputError(
          `oneDNN ${library.version}, ${library.path}: has no product made for this processor, only ${code}; ` +
            "use --engine onnxruntime, in float32",
        );
      }
    },
    dispose() {
      packer.dispose();
      store.dispose();
    },
  };
}
