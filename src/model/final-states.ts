import { createHash } from "node:crypto";
import { bytesOf, type FloatArray } from "../tensor/matrix.js";
import type { Batch, Tokens } from "./batches.js";

/**
 * What one model's last block put out, by the tokens that went in: a base that many compressed models are compared with
 * is read once. Of one engine.
 */
export interface FinalStates {
  of(tokens: Tokens): FloatArray | undefined;
  /** Keeps the batch's hidden states, where there is room; nobody may change them any more. */
  keep(batch: Batch): void;
}

/** Keeps at most so many bytes; what comes later is computed again whenever it is wanted. */
export function createFinalStates(bytes: number): FinalStates {
  const known = new Map<string, FloatArray>();
  let room = bytes;
  return {
    of: (tokens) => known.get(keyOf(tokens)),
    keep(batch) {
      const key = keyOf(batch);
      if (known.has(key) || batch.hidden.byteLength > room) return;
      known.set(key, batch.hidden);
      room -= batch.hidden.byteLength;
    },
  };
}

function keyOf({ ids, windows, segments }: Tokens): string {
  return createHash("sha256")
    .update(JSON.stringify([windows, segments ?? null]))
    .update(bytesOf(ids))
    .digest("hex");
}
