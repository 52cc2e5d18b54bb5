import { throwIfAborted } from "../errors.js";
import type { OnProgress } from "../progress.js";
import type { Model } from "./model.js";

/** Numbers of a matrix that are read at once: a vocabulary's need not fit into memory. */
const NUMBERS_AT_ONCE = 2 ** 22;

/**
 * Reads what a model computes with and no method compresses, which would else be copied unread. Throws InputError for NaN and
 * infinity in it, AbortError.
 */
export async function checkOthers({ checkpoint, others }: Model, signal: AbortSignal | undefined): Promise<void> {
  for (const name of others) {
    throwIfAborted(signal);
    const { shape } = checkpoint.tensors.get(name)!;
    if (shape.length !== 2) {
      await checkpoint.read(name);
      continue;
    }
    const [rows, columns] = shape as [number, number];
    const step = Math.max(1, Math.floor(NUMBERS_AT_ONCE / columns));
    for (let row = 0; row < rows; row += step) {
      throwIfAborted(signal);
      const some = Int32Array.from({ length: Math.min(step, rows - row) }, (_, i) => row + i);
      await checkpoint.readRows(name, some);
    }
  }
}

/** Says so where weights are stored that nobody computes with: a wrong number of layers, or another kind of model, would show nowhere else. */
export function warnOfUnused({ checkpoint, family, layers, uncounted, unknown }: Model, onProgress: OnProgress): void {
  const [first] = unknown;
  if (first === undefined) return;
  const why =
    uncounted === undefined
      ? `holds ${first}${unknown.length > 1 ? ` and ${unknown.length - 1} more tensors` : ""}, which ${family} models of this config do not have: left as they are`
      : `holds ${uncounted}, but ${checkpoint.configFile} counts ${layers.length} layers: the others are left as they are`;
  onProgress({ kind: "warning", message: `${checkpoint.path}: ${why} and not computed with` });
}
