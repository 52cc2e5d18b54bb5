import type { Executable, Observable, Weights } from "../engine/engine.js";
import { throwIfAborted } from "../errors.js";
import type { Statistics } from "../methods/method.js";
import { asRows, type Batch } from "../model/batches.js";
import type { FloatArray } from "../tensor/matrix.js";

/**
 * Runs every batch through a block that is still dense and sums what its linears' distinct inputs were, one Statistics
 * an input. The engine sums over a batch in its own precision; batches are added up in float64.
 */
export async function observe(
  executable: Executable,
  batches: readonly Batch[],
  weights: Weights,
  what: Observable,
  onBatch: (windows: number) => void,
  signal?: AbortSignal,
): Promise<Statistics[]> {
  const sums: Float64Array[] = [];
  let windows = 0;
  let tokens = 0;
  for (const batch of batches) {
    throwIfAborted(signal);
    const parts = await executable.observe(asRows(batch), weights, what);
    for (const [input, part] of parts.entries()) {
      sums[input] ??= new Float64Array(part.length);
      accumulate(sums[input], part);
    }
    windows += batch.windows;
    tokens += batch.windows * batch.tokens;
    onBatch(batch.windows);
  }
  return sums.map((sum) => {
    const seen = { windows, tokens };
    if (what === "squaredNorms") return { ...seen, squaredNorms: sum };
    const size = Math.sqrt(sum.length);
    mirror(sum, size);
    return { ...seen, gram: { rows: size, columns: size, data: sum } };
  });
}

/** Copies the lower triangle over the upper one. */
function mirror(matrix: Float64Array, size: number): void {
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < i; j++) matrix[j * size + i] = matrix[i * size + j]!;
  }
}

function accumulate(sum: Float64Array, part: FloatArray): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += part[i]!;
}
