/**
 * Where GGUF keeps a tensor's rows in another order than Hugging Face, for each of Hugging Face's rows the row in GGUF.
 *
 * - `rope`: llama.cpp rotates neighbours in LLaMA's q and k, transformers the two halves of a head.
 * - `heads`: q, k and v head by head (GPT-NeoX, BLOOM); in GGUF all of q, then k, then v.
 * - `groups`: the same by groups of heads that share a k and a v (Falcon).
 */
export type RowOrder = "rope" | "heads" | "groups";

export interface HeadSizes {
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
}

/** The rows in GGUF of Hugging Face's rows 0 to rows - 1; undefined where the tensor cannot be made of such heads. */
export function rowOrder(order: RowOrder, rows: number, sizes: HeadSizes): Uint32Array | undefined {
  const { heads, keyValueHeads, headSize } = sizes;
  switch (order) {
    case "rope": {
      if (rows % headSize !== 0 || headSize % 2 !== 0) return undefined;
      const half = headSize / 2;
      return Uint32Array.from({ length: rows }, (_, row) => {
        const within = row % headSize;
        return row - within + 2 * (within % half) + Math.floor(within / half);
      });
    }
    case "heads": {
      if (rows !== 3 * heads * headSize) return undefined;
      return Uint32Array.from({ length: rows }, (_, row) => {
        const part = Math.floor(row / headSize) % 3;
        return (part * heads + Math.floor(row / (3 * headSize))) * headSize + (row % headSize);
      });
    }
    case "groups": {
      if (rows !== (heads + 2 * keyValueHeads) * headSize || heads % keyValueHeads !== 0) return undefined;
      const each = heads / keyValueHeads;
      return Uint32Array.from({ length: rows }, (_, row) => {
        const slot = Math.floor(row / headSize);
        const group = Math.floor(slot / (each + 2));
        const place = slot % (each + 2);
        const head = place < each ? group * each + place : heads + (place - each) * keyValueHeads + group;
        return head * headSize + (row % headSize);
      });
    }
  }
}
