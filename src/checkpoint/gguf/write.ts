import { type FileHandle, open } from "node:fs/promises";
import { InputError, RunError, systemAdvice, throwIfAborted } from "../../errors.js";
import { replaceBy } from "../../files.js";
import { firstNonFinite } from "../../tensor/dtype.js";
import type { Checkpoint } from "../checkpoint.js";
import { errorCode } from "../folder.js";
import { quote } from "../json.js";
import { ALIGNMENT, encodeHeader, padded, string, type Typed, uint32 } from "./encode.js";
import { RECORD_KEY } from "./files.js";
import { describeModel } from "./model.js";
import type { WrittenType } from "./output.js";
import { type GgufPlan, type PlannedTensor, planGguf, plannedHeader, withoutWindow } from "./plan.js";
import { quantize } from "./quantize.js";
import { typeId } from "./types.js";
import { vocabularyMetadata } from "./vocabulary.js";

/** general.file_type, as llama.h numbers them. */
const FILE_TYPES: Readonly<Record<WrittenType, number>> = { f32: 0, f16: 1, q4_0: 2, q8_0: 7, bf16: 32 };
/** The version of the quantized types' layout. */
const QUANTIZATION_VERSION = 2;
/** Values that are converted at once: whole blocks. */
const STEP = 1 << 20;

interface WriteOptions {
  readonly type: WrittenType;
  /** What the file is called inside. */
  readonly name: string;
  /** How it was made, in pare's own words. */
  readonly record: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The config that is to be written, and the one that a reader of the file will make of it: what GGUF cannot say is not in it. And
 * how many bytes its tensors take. Throws InputError for a model that cannot be written.
 */
export async function tryGguf(base: Checkpoint, type: WrittenType) {
  const plan = planGguf(base, type);
  await vocabularyMetadata(base, embeddingRows(plan, base));
  return {
    meant: withoutWindow(base.config),
    read: describeModel(plannedHeader(plan), factorsOf(plan), base.path).config,
    bytes: plan.tensors.reduce((sum, { bytes }) => sum + padded(bytes), 0),
  };
}

function embeddingRows({ tensors }: GgufPlan, { path }: Checkpoint): number {
  const embeddings = tensors.find((tensor) => tensor.name === "token_embd.weight");
  if (!embeddings) throw new InputError(`${path}: has no token embeddings`);
  return embeddings.shape[0]!;
}

function factorsOf({ rotation: { factors } }: GgufPlan) {
  const values = (name: string) => factors[name] && Float32Array.from(factors[name]);
  return {
    all: values("rope_freqs.weight"),
    short: values("rope_factors_short.weight"),
    long: values("rope_factors_long.weight"),
  };
}

/**
 * Writes a model as one GGUF file, version 3, which appears when it is whole: matrices in the type asked for, vectors as F32,
 * with its tokenizer. Throws InputError for what GGUF has no words for, RunError for what cannot be written, AbortError.
 */
export async function writeGguf(base: Checkpoint, output: string, options: WriteOptions): Promise<void> {
  const { type, name, record, signal } = options;
  const plan = planGguf(base, type);
  const metadata = new Map<string, Typed>([
    ["general.architecture", string(plan.architecture.name)],
    ["general.type", string("model")],
    ["general.name", string(name)],
    ["general.file_type", uint32(FILE_TYPES[type])],
    ["general.quantization_version", uint32(QUANTIZATION_VERSION)],
    ...plan.metadata,
    ...(await vocabularyMetadata(base, embeddingRows(plan, base))),
    ...(record === undefined ? [] : [[RECORD_KEY, string(record)] as const]),
  ]);
  const infos = plan.tensors.map((tensor) => ({ ...tensor, type: typeId(tensor.type) }));
  try {
    await replaceBy(output, async (partial) => {
      const handle = await open(partial, "wx");
      try {
        await handle.writeFile(encodeHeader(metadata, infos));
        for (const tensor of plan.tensors) await writeTensor(handle, tensor, output, signal);
        await handle.sync();
      } finally {
        await handle.close();
      }
    });
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    throw new RunError(`${output}: cannot be written (${code}): ${systemAdvice(code) ?? "check its folder"}`, {
      cause: error,
    });
  }
}

async function writeTensor(
  handle: FileHandle,
  { name, type, bytes, values }: PlannedTensor,
  output: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  throwIfAborted(signal);
  let written = 0;
  for await (const part of values()) {
    const bad = type === "f16" ? firstNonFinite(part, "F16") : type === "bf16" ? firstNonFinite(part, "BF16") : -1;
    if (bad >= 0) {
      throw new RunError(
        `${output}: tensor ${quote(name)} has the value ${part[bad]}, too large for ${type}; choose another type`,
      );
    }
    for (let from = 0; from < part.length; from += STEP) {
      throwIfAborted(signal);
      const piece = quantize(part.subarray(from, from + STEP), type);
      await handle.appendFile(piece);
      written += piece.length;
    }
  }
  if (written !== bytes) throw new Error(`${name}: ${written} bytes instead of ${bytes}`);
  const rest = padded(bytes) - bytes;
  if (rest > 0) await handle.appendFile(new Uint8Array(ALIGNMENT).subarray(0, rest));
}
