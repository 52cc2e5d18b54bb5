import { ARGUMENT, type Description, type ElementType, type Handle, type Library, type Memory } from "./library.js";

/**
 * The two products of a block, over memory of JavaScript's: what a linear computes, and what a Gram matrix is made of.
 * Operands are given as float32 and rounded to the precision before they are multiplied; sums and results are float32.
 */
export interface Products {
  /** x as the products of the precision read it: itself in float32. [rows, columns] */
  operand(x: Float32Array, rows: number, columns: number, room: Memory | undefined): Operand;
  /** y = x · wᵀ (+ bias). x [rows, in], w [out, in], y [rows, out]. */
  linear(x: Operand, weight: Float32Array, bias: Float32Array | undefined, y: Float32Array): void;
  /** c += aᵀ · b. a [rows, m], b [rows, n], c [m, n]. */
  addGram(a: Operand, b: Operand, c: Float32Array): void;
  /** Throws InputError where this processor has no such products. */
  check(): void;
  dispose(): void;
}

/** A matrix in the precision of the products. */
export interface Operand {
  readonly data: Memory;
  readonly rows: number;
  readonly columns: number;
}

/** Work of one kind and size, with the memory that its arguments are placed in. */
interface Prepared {
  readonly threads: number;
  readonly primitive: Handle;
  readonly description: Handle;
  readonly memories: readonly { readonly arg: number; readonly memory: Handle }[];
}

/** A product's weights are kept in the order that it likes; several products may like the same. */
interface Linear extends Prepared {
  readonly layout: Layout;
}

interface Layout {
  readonly description: Description;
  readonly bytes: number;
  readonly packed: WeakMap<Float32Array, Uint8Array>;
}

/** How many are kept ready, of those used last. Experts, and prompts of all lengths, come in very many sizes. */
const KEPT = 1024;
/** Multiplications, or numbers copied, below which waking another thread takes longer than the work. */
const LEAST_PRODUCT = 2 ** 20;
const LEAST_COPY = 2 ** 17;

export function createProducts(library: Library, precision: ElementType, threads: number): Products {
  const kept = new Map<string, Prepared>();
  const layouts = new Map<string, Layout[]>();
  /** Product descriptions whose weights' description a layout is; never destroyed before the end. */
  const owners = new Set<Handle>();

  const rowMajor = (rows: number, columns: number, type: ElementType) =>
    library.describe(rows, columns, type, [columns, 1]);
  const forget = ({ primitive, description, memories }: Prepared) => {
    for (const { memory } of memories) library.destroy("memory", memory);
    library.destroy("primitive", primitive);
    if (!owners.has(description)) library.destroy("primitive_desc", description);
  };
  const keep = <P extends Prepared>(key: string, make: () => P): P => {
    const found = kept.get(key) ?? make();
    // Last used, last in the map.
    kept.delete(key);
    kept.set(key, found);
    for (const [oldest, old] of kept) {
      if (kept.size <= KEPT) break;
      kept.delete(oldest);
      forget(old);
    }
    return found as P;
  };
  const ready = (
    threads: number,
    description: Handle,
    places: readonly (readonly [arg: number, of: Description])[],
  ): Prepared => ({
    threads,
    primitive: library.prepare(description),
    description,
    memories: places.map(([arg, of]) => ({ arg, memory: library.memory(of) })),
  });
  /** For work of this size, made and run next. */
  const takeThreads = (work: number, least: number): number => {
    const count = work < least ? 1 : threads;
    library.setThreads?.(count);
    return count;
  };
  const run = ({ threads, primitive, memories }: Prepared, ...data: readonly Memory[]) => {
    library.setThreads?.(threads);
    for (const [i, { memory }] of memories.entries()) library.place(memory, data[i]!);
    library.execute(primitive, memories);
  };
  /** Copies between two orders or types of a matrix. */
  const copy = (key: string, size: number, from: () => Description, to: () => Description) =>
    keep(`copy ${key}`, () => {
      const count = takeThreads(size, LEAST_COPY);
      const [source, target] = [from(), to()];
      const places = [[ARGUMENT.from, source] as const, [ARGUMENT.to, target] as const];
      return ready(count, library.reorder(source, target), places);
    });

  const prepareLinear = (rows: number, inputs: number, outputs: number, biased: boolean): Linear =>
    keep(`linear ${rows} ${inputs} ${outputs} ${biased}`, () => {
      const count = takeThreads(rows * inputs * outputs, LEAST_PRODUCT);
      const a = rowMajor(rows, inputs, precision);
      const c = rowMajor(rows, outputs, "float32");
      const bias = biased ? rowMajor(1, outputs, "float32") : undefined;
      const b = library.describe(inputs, outputs, precision, "any");
      const description = library.product({ a, b, c, ...(bias && { bias }) });
      const liked = library.likedWeights(description);
      const size = `${inputs} ${outputs}`;
      const known = layouts.get(size) ?? [];
      let layout = known.find((other) => library.equal(other.description, liked));
      if (!layout) {
        layout = { description: liked, bytes: library.bytes(liked), packed: new WeakMap() };
        owners.add(description);
        layouts.set(size, [...known, layout]);
      }
      const places: (readonly [number, Description])[] = [
        [ARGUMENT.from, a],
        [ARGUMENT.weights, layout.description],
        [ARGUMENT.to, c],
      ];
      if (bias) places.push([ARGUMENT.bias, bias]);
      return { ...ready(count, description, places), layout };
    });

  /** A weight's numbers never change, so that it is packed once. */
  const packed = (weight: Float32Array, layout: Layout, inputs: number, outputs: number): Uint8Array => {
    let found = layout.packed.get(weight);
    if (!found) {
      const index = layouts.get(`${inputs} ${outputs}`)!.indexOf(layout);
      const plain = () => library.describe(inputs, outputs, "float32", [1, inputs]);
      found = new Uint8Array(layout.bytes);
      run(
        copy(`${inputs} ${outputs} ${index}`, weight.length, plain, () => layout.description),
        weight,
        found,
      );
      layout.packed.set(weight, found);
    }
    return found;
  };

  return {
    operand(x, rows, columns, room) {
      if (precision === "float32" || x.length === 0) return { data: x, rows, columns };
      const data = room instanceof Uint16Array && room.length === x.length ? room : new Uint16Array(x.length);
      const of = (type: ElementType) => () => rowMajor(rows, columns, type);
      run(copy(`rows ${rows} ${columns}`, x.length, of("float32"), of(precision)), x, data);
      return { data, rows, columns };
    },
    linear(x, weight, bias, y) {
      const outputs = y.length / x.rows;
      if (x.rows === 0) return; // an expert that no token goes to
      const linear = prepareLinear(x.rows, x.columns, outputs, bias !== undefined);
      const weights = packed(weight, linear.layout, x.columns, outputs);
      run(linear, x.data, weights, y, ...(bias ? [bias] : []));
    },
    addGram(a, b, c) {
      if (a.rows === 0) return;
      const { rows, columns } = a;
      const gram = keep(`gram ${rows} ${columns} ${b.columns}`, () => {
        const count = takeThreads(rows * columns * b.columns, LEAST_PRODUCT);
        const first = library.describe(columns, rows, precision, [1, columns]);
        const second = rowMajor(rows, b.columns, precision);
        const sum = rowMajor(columns, b.columns, "float32");
        const description = library.product({ a: first, b: second, c: sum, adds: true });
        return ready(count, description, [
          [ARGUMENT.from, first],
          [ARGUMENT.weights, second],
          [ARGUMENT.to, sum],
        ]);
      });
      run(gram, a.data, b.data, c);
    },
    check() {
      prepareLinear(1, 64, 64, false);
    },
    dispose() {
      for (const prepared of kept.values()) forget(prepared);
      for (const owner of owners) library.destroy("primitive_desc", owner);
      kept.clear();
      layouts.clear();
      owners.clear();
    },
  };
}
