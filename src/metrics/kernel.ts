import type { FloatArray } from "../tensor/matrix.js";
import { type Kernel, lazyKernel, reserve } from "../tensor/wasm.js";
import { type Arithmetic, plainArithmetic, type Side } from "./arithmetic.js";
import { TOP } from "./softmax.js";

interface Global {
  readonly value: number;
}

/** What kernel/divergence.as.ts exports. Rows, outputs and the globals are addresses in bytes. */
interface DivergenceKernel extends Kernel {
  readonly topIds: Global;
  readonly topLogits: Global;
  readonly sums: Global;
  findTop(row: number, vocabulary: number, single: boolean): number;
  exponentials(row: number, vocabulary: number, single: boolean, first: number, largest: number, out: number): number;
  divergences(
    rowP: number,
    rowQ: number,
    vocabulary: number,
    single: boolean,
    exponentialsP: number,
    exponentialsQ: number,
    scaleP: number,
    scaleQ: number,
    shift: number,
  ): void;
}

const kernel = lazyKernel<DivergenceKernel>("metrics/kernel/divergence.wasm");

/** The kernel's arithmetic where it runs, else the plain one. One at a time may be in use: the kernel has one memory. */
export function fastestArithmetic(vocabulary: number): Arithmetic {
  return kernelArithmetic(vocabulary) ?? plainArithmetic(vocabulary);
}

/** The kernel's arithmetic; undefined where WebAssembly or its SIMD instructions are missing. */
export function kernelArithmetic(vocabulary: number): Arithmetic | undefined {
  const wasm = kernel();
  if (!wasm) return undefined;
  const { memory } = wasm;
  // Two rows of logits, then two of exponentials: each with room for one token more, in whole cache lines.
  const stride = 64 * (Math.ceil((8 * vocabulary) / 64) + 3);
  const start = reserve(wasm, 4 * stride);
  const rowAt = (side: Side) => start + side * stride;
  const exponentialsAt = (side: Side) => start + (2 + side) * stride;
  const copy = (side: Side, logits: FloatArray, begin: number, single: boolean) => {
    const row = new (single ? Float32Array : Float64Array)(memory.buffer, rowAt(side), vocabulary + 1);
    row.set(logits.subarray(begin, begin + vocabulary));
    row[vocabulary] = 0;
    return row.byteOffset;
  };

  return {
    softmax(side, logits, begin) {
      const single = logits instanceof Float32Array;
      const row = copy(side, logits, begin, single);
      if (!wasm.findTop(row, vocabulary, single)) return undefined;
      const top = {
        ids: new Int32Array(memory.buffer, wasm.topIds.value, TOP).slice(),
        logits: new Float64Array(memory.buffer, wasm.topLogits.value, TOP).slice(),
      };
      const largest = top.logits[0]!;
      const rest = wasm.exponentials(row, vocabulary, single, top.ids[0]!, largest, exponentialsAt(side));
      return { logits, begin, top, largest, sum: 1 + rest, lnSum: Math.log1p(rest) };
    },
    divergences(P, Q) {
      const single = P.logits instanceof Float32Array && Q.logits instanceof Float32Array;
      if (!single) {
        // The kernel reads both rows alike.
        if (P.logits instanceof Float32Array) copy(0, P.logits, P.begin, false);
        if (Q.logits instanceof Float32Array) copy(1, Q.logits, Q.begin, false);
      }
      const shift = P.largest - Q.largest + (P.lnSum - Q.lnSum);
      wasm.divergences(
        rowAt(0),
        rowAt(1),
        vocabulary,
        single,
        exponentialsAt(0),
        exponentialsAt(1),
        1 / P.sum,
        1 / Q.sum,
        shift,
      );
      const [jsd, kl, klReverse, difference] = new Float64Array(memory.buffer, wasm.sums.value, 4);
      return {
        jsd: Math.min(Math.max(jsd!, 0), Math.LN2),
        kl: Math.max(kl!, 0),
        klReverse: Math.max(klReverse!, 0),
        totalVariation: Math.min(difference! / 2, 1),
      };
    },
  };
}
