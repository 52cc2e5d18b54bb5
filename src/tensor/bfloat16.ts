import { type Kernel, lazyKernel, reserve } from "./wasm.js";

interface Bfloat16Kernel extends Kernel {
  widen(half: number, out: number, count: number): number;
  narrow(x: number, half: number, count: number): void;
}

const kernel = lazyKernel<Bfloat16Kernel>("tensor/kernel/bfloat16.wasm");

/** Numbers in the kernel's memory at once: they stay in the processor's caches. */
const PART = 2 ** 15;
/** Below this many the plain loops are as fast. */
const LEAST = 2 ** 10;
const EIGHT = 8;

/** How many of so many numbers the kernel does, from the first on; the rest is for the plain loops. */
function shareOf(count: number): number {
  return count < LEAST ? 0 : count - (count % EIGHT);
}

/** Writes bfloat16 as float32 bits; returns how many, from the first on, it did, and whether those are finite. */
export function widenByKernel(halves: Uint16Array, out: Uint32Array): { share: number; areFinite: boolean } {
  const share = shareOf(out.length);
  const wasm = share > 0 ? kernel() : null;
  let areFinite = true;
  if (!wasm) return { share: 0, areFinite };
  const from = reserve(wasm, 6 * PART);
  const to = from + 2 * PART;
  for (let i = 0; i < share; i += PART) {
    const count = Math.min(PART, share - i);
    new Uint16Array(wasm.memory.buffer, from, count).set(halves.subarray(i, i + count));
    if (!wasm.widen(from, to, count)) areFinite = false;
    out.set(new Uint32Array(wasm.memory.buffer, to, count), i);
  }
  return { share, areFinite };
}

/** Writes float32 bits as bfloat16; returns how many, from the first on, it did. */
export function narrowByKernel(bits: Int32Array, halves: Uint16Array): number {
  const share = shareOf(bits.length);
  const wasm = share > 0 ? kernel() : null;
  if (!wasm) return 0;
  const from = reserve(wasm, 6 * PART);
  const to = from + 4 * PART;
  for (let i = 0; i < share; i += PART) {
    const count = Math.min(PART, share - i);
    new Int32Array(wasm.memory.buffer, from, count).set(bits.subarray(i, i + count));
    wasm.narrow(from, to, count);
    halves.set(new Uint16Array(wasm.memory.buffer, to, count), i);
  }
  return share;
}
