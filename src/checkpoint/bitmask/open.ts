import { join } from "node:path";
import { InputError } from "../../errors.js";
import { DTYPE_BYTES, type FloatDType, isFloatDType, widen } from "../../tensor/dtype.js";
import type { Checkpoint, TensorEntry } from "../checkpoint.js";
import { quote } from "../json.js";
import { CONFIG_FILE, INDEX_FILE } from "../layout.js";
import { allocate, checkFinite } from "../read.js";
import { planShard } from "../safetensors.js";
import { unpack } from "./codec.js";
import { PARTS, type Part, STORED_AS, withoutBitmask } from "./config.js";

const ADVICE = "the file is damaged or was written wrongly: download or compress it again";

/** A weight that is stored in parts. */
interface Packed {
  readonly parts: Readonly<Record<Part, TensorEntry>>;
  readonly dtype: FloatDType;
  readonly shape: readonly [rows: number, columns: number];
}

/** Reads a tensor's own bytes. */
type ReadBytes = (entry: TensorEntry) => Promise<Uint8Array>;

/**
 * A checkpoint whose weights may be stored as bitmasks, as the dense one that it stands for: names, shapes, dtypes, values,
 * and shards as a dense copy has them. Given back as it is where its config says nothing of bitmasks. Throws InputError.
 */
export async function denseView(stored: Checkpoint): Promise<Checkpoint> {
  const config = withoutBitmask(stored.config, stored.configFile);
  if (!config) return stored;
  const readBytes: ReadBytes = async ({ file, begin, end }) => {
    const bytes = new Uint8Array(end - begin);
    await stored.readShard(file, bytes, begin);
    return bytes;
  };
  const packed = await findPacked(stored, readBytes);
  const shards = new Map(stored.shards.map((name) => [name, planDense(stored, packed, name)]));
  const tensors = new Map([...shards.values()].flatMap(({ entries }) => entries.map((entry) => [entry.name, entry])));

  const unpacked = async (name: string): Promise<Uint8Array> => {
    const { parts, dtype, shape } = packed.get(name)!;
    const [values, mask, offsets] = [
      await readBytes(parts.compressed),
      await readBytes(parts.bitmask),
      await readBytes(parts.row_offsets),
    ];
    const result = unpack(
      { values, mask, offsets: new BigInt64Array(offsets.buffer) },
      shape[0],
      shape[1],
      DTYPE_BYTES[dtype],
    );
    if (typeof result === "string") throw wrong(stored, parts.compressed.file, name, result);
    return result;
  };
  const read: Checkpoint["read"] = async (name, room) => {
    const found = packed.get(name);
    if (!found) return stored.read(name, room);
    const path = join(stored.directory, found.parts.compressed.file);
    const bytes = await unpacked(name);
    const values = widen(
      bytes,
      found.dtype,
      allocate(Float32Array, bytes.length / DTYPE_BYTES[found.dtype], { ...found, name }, path, room),
    );
    checkFinite(values, 0, { ...found, name }, path);
    return values;
  };
  /** The weight that a dense shard is being read of. */
  let last: { readonly name: string; readonly bytes: Uint8Array } | undefined;
  const bytesOf = async (name: string, offset: number, into: Uint8Array): Promise<void> => {
    if (!packed.has(name)) {
      const { file, begin } = stored.tensors.get(name)!;
      return stored.readShard(file, into, begin + offset);
    }
    if (last?.name !== name) last = { name, bytes: await unpacked(name) };
    into.set(last.bytes.subarray(offset, offset + into.length));
  };
  const encoded = (value: unknown) => new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
  const weightMap = Object.fromEntries([...tensors.values()].map(({ name, file }) => [name, file]));
  const size = [...tensors.values()].reduce((sum, { begin, end }) => sum + end - begin, 0);
  return {
    ...stored,
    config,
    tensors,
    files: new Map([
      [CONFIG_FILE, encoded(config)],
      [INDEX_FILE, encoded({ metadata: { total_size: size }, weight_map: weightMap })],
    ]),
    read,
    readBfloat16: async (name, room) => {
      const found = packed.get(name);
      if (!found) return stored.readBfloat16(name, room);
      if (found.dtype !== "BF16") return undefined;
      const { buffer, byteOffset, length } = await unpacked(name);
      const bits = new Uint16Array(buffer, byteOffset, length / 2);
      checkFinite(bits, 0, { ...found, name }, join(stored.directory, found.parts.compressed.file));
      return bits;
    },
    readRows: async (name, rows) => {
      const found = packed.get(name);
      if (!found) return stored.readRows(name, rows);
      const columns = found.shape[1];
      const whole = await read(name);
      const values = new Float32Array(rows.length * columns);
      for (const [i, row] of rows.entries())
        values.set(whole.subarray(row * columns, (row + 1) * columns), i * columns);
      return values;
    },
    shardBytes: (shard) => shards.get(shard)!.bytes,
    readShard: async (shard, into, position) => {
      const { header, entries } = shards.get(shard)!;
      into.set(header.subarray(position, position + into.length));
      for (const { name, begin, end } of entries) {
        const from = Math.max(begin, position);
        const to = Math.min(end, position + into.length);
        if (from < to) await bytesOf(name, from - begin, into.subarray(from - position, to - position));
      }
    },
  };
}

/** The weights stored as bitmasks, by the name that they have as dense ones. */
async function findPacked(stored: Checkpoint, readBytes: ReadBytes): Promise<Map<string, Packed>> {
  const packed = new Map<string, Packed>();
  for (const mask of stored.tensors.values()) {
    if (!mask.name.endsWith(".bitmask")) continue;
    const prefix = mask.name.slice(0, -".bitmask".length);
    const name = `${prefix}.weight`;
    const fail = (message: string) => wrong(stored, mask.file, name, message);
    const parts = Object.fromEntries(
      PARTS.map((part) => {
        const entry = stored.tensors.get(`${prefix}.${part}`);
        if (!entry) throw fail(`its part ${quote(`${prefix}.${part}`)} is missing`);
        return [part, entry];
      }),
    ) as Record<Part, TensorEntry>;
    if (stored.tensors.has(name)) throw fail("is there both dense and as a bitmask");
    const { compressed, shape, row_offsets: offsets } = parts;
    if (shape.dtype !== "I64" || shape.shape.length !== 1 || shape.shape[0] !== 2) {
      throw fail(`its shape is no pair of I64 but ${shape.dtype} of [${shape.shape}]`);
    }
    const sizes = [...new BigInt64Array((await readBytes(shape)).buffer)].map(Number);
    const [rows = -1, columns = -1] = sizes;
    if (!(rows >= 0 && columns >= 0 && Number.isSafeInteger(4 * rows * columns))) {
      throw fail(`its shape [${sizes}] is not possible`);
    }
    const { dtype } = compressed;
    if (!isFloatDType(dtype) || compressed.shape.length !== 1) {
      throw fail(`its values are ${dtype} of [${compressed.shape}] and no vector of F32, F16 or BF16`);
    }
    const maskColumns = Math.ceil(columns / 8);
    if (mask.dtype !== "U8" || mask.shape.join() !== `${rows},${maskColumns}`) {
      throw fail(
        `its bitmask is ${mask.dtype} of [${mask.shape}], and its shape [${sizes}] needs U8 of [${rows},${maskColumns}]`,
      );
    }
    if (offsets.dtype !== "I64" || offsets.shape.join() !== `${rows}`) {
      throw fail(
        `its row_offsets are ${offsets.dtype} of [${offsets.shape}], and its shape [${sizes}] needs I64 of [${rows}]`,
      );
    }
    if (compressed.shape[0]! > rows * columns) {
      throw fail(`it has ${compressed.shape[0]} values for a shape of [${sizes}]`);
    }
    packed.set(name, { parts, dtype, shape: [rows, columns] });
  }
  return packed;
}

/** A shard as a dense copy has it: the tensors whose values lie in it. */
function planDense(stored: Checkpoint, packed: ReadonlyMap<string, Packed>, file: string) {
  const parts = new Set([...packed.values()].flatMap((one) => PARTS.map((part) => one.parts[part].name)));
  const whole = [...stored.tensors.values()].filter((entry) => entry.file === file && !parts.has(entry.name));
  const own = [...packed].filter(([, one]) => one.parts.compressed.file === file);
  const { entries, header } = planShard(
    [
      ...whole,
      ...own.map(([name, { dtype, shape }]) => ({ name, dtype, shape, storedAs: `${dtype} ${STORED_AS}` })),
    ].sort((a, b) => (a.name < b.name ? -1 : 1)),
    file,
  );
  return { entries, header, bytes: entries.at(-1)?.end ?? header.length };
}

function wrong({ directory }: Checkpoint, file: string, name: string, message: string): InputError {
  return new InputError(`${join(directory, file)}: tensor ${quote(name)}: ${message}; ${ADVICE}`);
}
