import { realpath } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { InputError } from "../../errors.js";
import type { Checkpoint } from "../checkpoint.js";
import { openFile } from "../folder.js";
import { quote } from "../json.js";
import { hashFiles } from "../read.js";
import { planShard } from "../safetensors.js";
import { readGgufHeader } from "./header.js";
import { describeGguf } from "./model.js";
import { readView, readViewRows } from "./read.js";
import { createShard } from "./shard.js";
import type { View } from "./views.js";

/** The name that the weights have in a folder made of the file. */
const SHARD = "model.safetensors";

/**
 * Opens a GGUF file as the Hugging Face folder that it was made of: a config from its metadata, and its tensors under Hugging
 * Face's names, in its shapes and its order of rows, dequantized when they are read. `tensors` and `shards` describe the
 * model.safetensors that a copy of it gets, where F32, F16 and BF16 stay what they are and quantized weights become float16,
 * or bfloat16 where the architecture needs its range. Throws InputError naming file, key and tensor.
 */
export async function openGguf(path: string): Promise<Checkpoint> {
  const handle = await openFile(await realpath(path), path);
  try {
    const header = await readGgufHeader(handle, path);
    const { config, views, dtypeOf } = await describeGguf(handle, header, path);
    const byRows = (view: View) => view.shape.length === 2 && !view.transposed;
    const planned = planShard(
      [...views.values()].map((view) => ({ ...view, dtype: dtypeOf(view), storedAs: view.tensor.type })),
      SHARD,
    );
    const locate = (name: string): View => {
      const view = views.get(name);
      if (view === undefined) throw new InputError(`${path}: has no tensor ${quote(name)}`);
      return view;
    };
    const read = (name: string) => readView(handle, locate(name), path);
    const readRows = (name: string, rows: Int32Array) => readViewRows(handle, locate(name), path, rows);
    const shard = createShard(planned, (name) => byRows(locate(name)), { read, readRows });
    return {
      path,
      directory: dirname(path),
      configFile: `${path}: metadata`,
      config,
      tensors: new Map(planned.entries.map((entry) => [entry.name, entry])),
      shards: [SHARD],
      bytes: (await handle.stat()).size,
      read,
      readBfloat16: async () => undefined,
      readRows,
      shardBytes: () => shard.bytes,
      readShard: (_name, into, position) => shard.read(into, position),
      hash: (signal) => hashFiles(new Uint8Array(), new Map([[basename(path), handle]]), dirname(path), signal),
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}
