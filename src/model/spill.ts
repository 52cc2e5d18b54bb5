import { open, rm } from "node:fs/promises";
import { readExactly, writeExactly } from "../checkpoint/folder.js";
import { type Engine, emptyRows } from "../engine/engine.js";
import { bytesOf, type FloatArray } from "../tensor/matrix.js";
import { type Batch, batchWindows, embed } from "./batches.js";
import type { Model } from "./model.js";

/** Batches whose hidden states lie in a file, one of them in memory at a time. */
export interface SpilledBatches extends AsyncIterable<Batch> {
  /** Removes the file. */
  close(): Promise<void>;
}

/**
 * As embedWindows, for hidden states that do not fit into memory: they lie in a new file `path`. What a reader of the
 * batches puts in place of one's hidden states is written there when it asks for the next.
 */
export async function spillWindows(
  model: Model,
  engine: Pick<Engine, "precision">,
  windows: readonly Int32Array[],
  path: string,
): Promise<SpilledBatches> {
  const handle = await open(path, "wx+");
  // Nobody else needs its name. Without one it is gone when the process is, however that ends; a system that cannot do
  // so removes it in the end.
  const remove = () => rm(path, { force: true });
  await remove().catch(() => {});
  const write = (hidden: FloatArray, position: number) => writeExactly(handle, bytesOf(hidden), position);
  const close = async (): Promise<void> => {
    await handle.close();
    await remove();
  };
  const groups = batchWindows(windows);
  const positions: number[] = [];
  try {
    let end = 0;
    for (const group of groups) {
      const [batch] = await embed(model, engine, [group]);
      await write(batch!.hidden, end);
      positions.push(end);
      end += batch!.hidden.byteLength;
    }
  } catch (error) {
    await close();
    throw error;
  }
  return {
    close,
    async *[Symbol.asyncIterator]() {
      let room: FloatArray | undefined;
      for (const [i, group] of groups.entries()) {
        const length = group.ids.length * model.architecture.hiddenSize;
        const hidden = room?.length === length ? room : emptyRows(engine, length);
        await readExactly(handle, bytesOf(hidden), positions[i]!, path);
        const batch: Batch = { ...group, hidden };
        yield batch;
        if (batch.hidden !== hidden) await write(batch.hidden, positions[i]!);
        // Its reader has no more use for the states that it gave back, but may use the memory of those that it was given.
        room = batch.hidden;
      }
    },
  };
}
