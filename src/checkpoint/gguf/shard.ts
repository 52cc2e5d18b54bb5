import { DTYPE_BYTES, type FloatDType, narrow } from "../../tensor/dtype.js";
import type { TensorEntry } from "../checkpoint.js";
import { CHUNK_BYTES } from "../read.js";
import type { planShard } from "../safetensors.js";

/** The safetensors file that a GGUF file becomes: made piece by piece, as it is read. */
export interface MadeShard {
  readonly bytes: number;
  /** Fills `into` with the file's bytes from `position` on. */
  read(into: Uint8Array, position: number): Promise<void>;
}

interface Source {
  read(name: string): Promise<Float32Array>;
  readRows(name: string, rows: Int32Array): Promise<Float32Array>;
}

export function createShard(
  { entries, header }: ReturnType<typeof planShard>,
  byRows: (name: string) => boolean,
  source: Source,
): MadeShard {
  /** A tensor that cannot be made in parts, while it is read. */
  let whole: { name: string; bytes: Uint8Array } | undefined;

  /** Bytes of a tensor from `offset` on, at least one and at most `limit`. */
  const piece = async (entry: TensorEntry, offset: number, limit: number): Promise<Uint8Array> => {
    const { name, shape } = entry;
    const dtype = entry.dtype as FloatDType;
    if (!byRows(name)) {
      if (whole?.name !== name) whole = { name, bytes: narrow(await source.read(name), dtype) };
      return whole.bytes.subarray(offset, offset + limit);
    }
    whole = undefined;
    const rowBytes = shape[1]! * DTYPE_BYTES[dtype];
    const first = Math.floor(offset / rowBytes);
    const last = Math.min(shape[0]!, Math.ceil((offset + Math.min(limit, CHUNK_BYTES)) / rowBytes));
    const rows = Int32Array.from({ length: last - first }, (_, i) => first + i);
    const start = offset - first * rowBytes;
    return narrow(await source.readRows(name, rows), dtype).subarray(start, start + limit);
  };
  return {
    bytes: entries.at(-1)?.end ?? header.length,
    async read(into, position) {
      let done = 0;
      if (position < header.length) {
        const part = header.subarray(position, position + into.length);
        into.set(part);
        done = part.length;
      }
      while (done < into.length) {
        const at = position + done;
        const entry = entries.find(({ begin, end }) => begin <= at && at < end);
        if (!entry) throw new Error(`byte ${at} is beyond the tensors`);
        const part = await piece(entry, at - entry.begin, Math.min(into.length - done, entry.end - at));
        into.set(part, done);
        done += part.length;
      }
    },
  };
}
