import { describe } from "../engine/describe.js";
import type { Executable, Observable, Weights } from "../engine/engine.js";
import type { Program } from "../engine/operations.js";
import { throwIfAborted } from "../errors.js";
import type { Statistics } from "../methods/method.js";
import { asRows, type Batch } from "../model/batches.js";

/**
 * Runs every batch through a block that is still dense and sums what its linears' distinct inputs were, one Statistics
 * an input.
 */
export async function observe(
  executable: Executable,
  program: Program,
  batches: readonly Batch[],
  weights: Weights,
  what: Observable,
  onBatch: (windows: number) => void,
  signal?: AbortSignal,
): Promise<Statistics[]> {
  const { inputs } = describe(program);
  const sums = inputs.map((size) => new Float64Array(what === "gram" ? size * size : size));
  let windows = 0;
  let tokens = 0;
  for (const batch of batches) {
    throwIfAborted(signal);
    await executable.observe(asRows(batch), weights, what, sums);
    windows += batch.windows;
    tokens += batch.windows * batch.tokens;
    onBatch(batch.windows);
  }
  return sums.map((sum, input) => {
    const seen = { windows, tokens };
    if (what === "squaredNorms") return { ...seen, squaredNorms: sum };
    const size = inputs[input]!;
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
