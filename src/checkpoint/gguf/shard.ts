import { DTYPE_BYTES, type DType, type FloatDType, narrow } from "../../tensor/dtype.js";
import type { TensorEntry } from "../checkpoint.js";
import { CHUNK_BYTES } from "../read.js";

/** The safetensors file that a GGUF file becomes: made piece by piece, as it is read. */
export interface Shard {
  readonly bytes: number;
  /** Fills `into` with the file's bytes from `position` on. */
  read(into: Uint8Array, position: number): Promise<void>;
}

/** A tensor of the file that is to be. */
export interface Planned {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** What it is stored as now, where that is something else. */
  readonly storedAs?: string | undefined;
}

/** Where tensors get their places: wide ones first, so that each begins at a multiple of its elements' size. */
export function planShard(planned: readonly Planned[], file: string): { entries: TensorEntry[]; header: Uint8Array } {
  const sorted = planned.toSorted((a, b) => DTYPE_BYTES[b.dtype] - DTYPE_BYTES[a.dtype]);
  const description: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let end = 0;
  const offsets = sorted.map(({ name, dtype, shape }) => {
    const begin = end;
    end += shape.reduce((product, size) => product * size, DTYPE_BYTES[dtype]);
    description[name] = { dtype, shape, data_offsets: [begin, end] };
    return { begin, end };
  });
  const json = JSON.stringify(description);
  const text = new TextEncoder().encode(json.padEnd(json.length + ((8 - (Buffer.byteLength(json) % 8)) % 8)));
  const header = new Uint8Array(8 + text.length);
  new DataView(header.buffer).setBigUint64(0, BigInt(text.length), true);
  header.set(text, 8);
  const entries = sorted.map(({ name, dtype, shape, storedAs }, i) => {
    const place = offsets[i]!;
    return { name, dtype, shape, storedAs, file, begin: header.length + place.begin, end: header.length + place.end };
  });
  return { entries, header };
}

interface Source {
  read(name: string): Promise<Float32Array>;
  readRows(name: string, rows: Int32Array): Promise<Float32Array>;
}

export function createShard(
  { entries, header }: ReturnType<typeof planShard>,
  byRows: (name: string) => boolean,
  source: Source,
): Shard {
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
