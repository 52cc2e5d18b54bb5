import type { ElementType, Library, Memory } from "./library.js";
import type { DescribedLinear, Packing } from "./linears.js";
import { type Numbers, typeOf } from "./numbers.js";
import type { PreparedStore } from "./prepared.js";

/** An order that products like their weights in; several products may like the same. */
export interface Layout extends Packing {
  readonly key: string;
  readonly bytes: number;
  /** By the memory that weights lie in, and the first of the outputs: what is packed of the next ones in it takes the place of what was. */
  readonly packed: WeakMap<ArrayBufferLike, Map<number, Packed>>;
}

interface Packed {
  readonly of: Numbers;
  readonly bytes: Uint8Array;
}

/** Copies weights to the order that a product likes, once for as long as they are there. */
export interface Packer {
  /** The layout of a linear's weights, [outputs, inputs]. */
  layoutOf(linear: DescribedLinear, inputs: number, outputs: number): Layout;
  /** The outputs [from, to) of a weight, whose numbers never change. */
  packed(weight: Numbers, layout: Layout, inputs: number, from: number, to: number): Uint8Array;
  /** Copies so many numbers; the key says of what, and from which order to which. */
  pack(key: string, size: number, packing: Packing, from: Numbers, to: Memory): void;
  /** Forgets all layouts: what they refer to is destroyed with the store. */
  dispose(): void;
}

export function createPacker(
  library: Library,
  store: PreparedStore,
  prepareWeights: (weights: Numbers) => Numbers = (weights) => weights,
): Packer {
  const layouts = new Map<string, Layout[]>();
  const pack: Packer["pack"] = (key, size, { plain, wanted }, from, to) => {
    const type: ElementType = typeOf(from);
    const copying = store.copy(
      `${key} ${type}`,
      size,
      () => plain(type),
      () => wanted,
    );
    store.run(copying, from, to);
  };
  return {
    layoutOf({ description, plain, wanted }, inputs, outputs) {
      const size = `${inputs} ${outputs}`;
      const known = layouts.get(size) ?? [];
      const found = known.find((other) => library.equal(other.wanted, wanted));
      if (found) return found;
      const key = `${size} ${known.length}`;
      const layout = { key, plain, wanted, bytes: library.bytes(wanted), packed: new WeakMap() };
      store.hold(description);
      layouts.set(size, [...known, layout]);
      return layout;
    },
    packed(weight, layout, inputs, from, to) {
      const known = layout.packed.get(weight.buffer);
      const found = known?.get(from);
      if (found?.of === weight) return found.bytes;
      const part = prepareWeights(weight.subarray(from * inputs, to * inputs));
      const bytes = found?.bytes ?? library.aligned(layout.bytes);
      pack(layout.key, part.length, layout, part, bytes);
      layout.packed.set(weight.buffer, (known ?? new Map<number, Packed>()).set(from, { of: weight, bytes }));
      return bytes;
    },
    pack,
    dispose: () => layouts.clear(),
  };
}
