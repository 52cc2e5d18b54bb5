import { readFileSync } from "node:fs";

/** What is used of WebAssembly: TypeScript declares it only together with everything else that browsers have. */
declare const WebAssembly: {
  validate(bytes: Uint8Array): boolean;
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { readonly exports: unknown };
};

const PAGE = 65536;

/** What every kernel exports; what lies from `heap` on is the caller's. */
export interface Kernel {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  readonly heap: { readonly value: number };
}

/**
 * A kernel of dist/, with a memory of its own; null where WebAssembly or its SIMD instructions are missing. `path` is that in
 * dist/, which lies beside src/.
 */
export function openKernel<K extends Kernel>(path: string): K | null {
  const bytes = readFileSync(new URL(`../../dist/${path}`, import.meta.url));
  const runs = typeof WebAssembly === "object" && WebAssembly.validate(bytes);
  return runs ? (new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports as K) : null;
}

/** A function that gives a kernel, opened at its first call. */
export function lazyKernel<K extends Kernel>(path: string): () => K | null {
  let loaded: K | null | undefined;
  return () => {
    if (loaded === undefined) loaded = openKernel<K>(path);
    return loaded;
  };
}

/** Makes room for so many bytes, which begin at a multiple of 64; views of the memory from before may be gone. */
export function reserve({ memory, heap }: Kernel, bytes: number): number {
  const start = 64 * Math.ceil(heap.value / 64);
  const missing = start + bytes - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / PAGE));
  return start;
}
