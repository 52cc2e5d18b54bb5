import { describe } from "../engine/describe.js";
import type { Executable, Observable, Weights } from "../engine/engine.js";
import type { Program } from "../engine/operations.js";
import { throwIfAborted } from "../errors.js";
import type { Statistics } from "../methods/method.js";
import { asRows, type Batches, eachBatch } from "../model/batches.js";

/** An expert that fewer calibration tokens went to is judged by too little: a warning says so. */
export const FEW_TOKENS = 256;

/**
 * Runs every batch through a block that is still dense and sums what its linears' distinct inputs were, one Statistics
 * an input. An expert's are over the tokens that went to it; where none did, all inputs count the same, so that a
 * method judges by the weights alone.
 */
export async function observe(
  executable: Executable,
  program: Program,
  batches: Batches,
  weights: Weights,
  what: Observable,
  onBatch: (windows: number) => void,
  signal?: AbortSignal,
): Promise<Statistics[]> {
  const { inputs } = describe(program);
  const observation = executable.observe(what);
  const tokens = inputs.map(() => 0);
  let windows = 0;
  await eachBatch(batches, observation.lanes, async (batch, lane) => {
    throwIfAborted(signal);
    const rows = await observation.add(asRows(batch), weights, lane);
    for (const [input, count] of rows.entries()) tokens[input]! += count;
    windows += batch.windows;
    onBatch(batch.windows);
  });
  return observation.sums().map((sum, input) => {
    const { columns } = inputs[input]!;
    const seen = { windows, tokens: tokens[input]! };
    const step = what === "gram" ? columns + 1 : 1; // the diagonal
    if (seen.tokens === 0) for (let i = 0; i < sum.length; i += step) sum[i] = 1;
    if (what === "squaredNorms") return { ...seen, squaredNorms: sum };
    mirror(sum, columns);
    return { ...seen, gram: { rows: columns, columns, data: sum } };
  });
}

/** Copies the lower triangle over the upper one. */
function mirror(matrix: Float64Array, size: number): void {
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < i; j++) matrix[j * size + i] = matrix[i * size + j]!;
  }
}
