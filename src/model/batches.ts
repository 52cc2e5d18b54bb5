import { type Engine, type Executable, emptyRows, type Rows, type Weights } from "../engine/engine.js";
import type { FloatArray } from "../tensor/matrix.js";
import type { Model } from "./model.js";

/** Tokens that go through a block in one run: enough to keep the matrix products busy, few enough to stay in caches. */
const BATCH_TOKENS = 1024;

/** Windows of one length that run together, with their hidden states, which every block replaces. */
export interface Batch {
  readonly ids: readonly Int32Array[];
  readonly windows: number;
  readonly tokens: number;
  hidden: FloatArray;
}

/** Groups windows, in their order, into runs of one length and at most BATCH_TOKENS tokens (or one window). */
function batchWindows(windows: readonly Int32Array[]): Int32Array[][] {
  const batches: Int32Array[][] = [];
  for (const window of windows) {
    const last = batches.at(-1);
    if (last?.[0]?.length === window.length && (last.length + 1) * window.length <= BATCH_TOKENS) last.push(window);
    else batches.push([window]);
  }
  return batches;
}

/** The token embeddings of windows of ids, batch by batch, in the engine's precision. */
export async function embedWindows(
  model: Model,
  engine: Pick<Engine, "precision">,
  windows: readonly Int32Array[],
): Promise<Batch[]> {
  const batches: Batch[] = [];
  for (const ids of batchWindows(windows)) {
    const tokens = ids[0]!.length;
    const hidden = emptyRows(engine, ids.length * tokens * model.architecture.hiddenSize);
    let at = 0;
    for (const window of ids) {
      const rows = await model.embed(window);
      hidden.set(rows, at);
      at += rows.length;
    }
    batches.push({ ids, windows: ids.length, tokens, hidden });
  }
  return batches;
}

/**
 * Replaces the hidden states of every batch by a block's output. One spare piece of memory goes round: each batch's old
 * states become the room for the next one's new ones.
 */
export async function propagate(
  executable: Executable,
  batches: readonly Batch[],
  weights: Weights,
  onBatch: (batch: Batch) => void,
): Promise<void> {
  let spare: FloatArray | undefined;
  for (const batch of batches) {
    const output = await executable.run(asRows(batch), weights, spare);
    spare = batch.hidden;
    batch.hidden = output;
    onBatch(batch);
  }
}

/** A batch as an engine's input. */
export function asRows({ hidden, windows, tokens }: Batch): Rows {
  return { data: hidden, windows, tokens };
}
