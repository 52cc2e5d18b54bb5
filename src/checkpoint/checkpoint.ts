import type { DType } from "../tensor/dtype.js";

/** Where one tensor lies: bytes [begin, end) of `file`, counted from the start of the file. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** File name inside the checkpoint's folder. */
  readonly file: string;
  readonly begin: number;
  readonly end: number;
}

/**
 * A Hugging Face folder, opened: headers checked, weights still on disk.
 * Tensors are read by position, so that memory holds only what was asked for.
 */
export interface Checkpoint {
  readonly directory: string;
  /** config.json as parsed; a family checks it. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** The safetensors files, in name order. */
  readonly shards: readonly string[];
  /** The whole tensor, widened to float32. Throws InputError for an unknown name, a dtype that is no float, NaN or infinity. */
  read(name: string): Promise<Float32Array>;
  /** Rows of a matrix tensor, widened, one after the other: [rows.length, columns]. */
  readRows(name: string, rows: Int32Array): Promise<Float32Array>;
  /** SHA-256 (hex) over config.json and the shards' bytes: names the weights in results. */
  hash(signal?: AbortSignal): Promise<string>;
  close(): Promise<void>;
}

/** Writes a compressed copy of a checkpoint: whole or not at all. */
export interface CheckpointWriter {
  /** The folder that will appear. */
  readonly output: string;
  /** Replaces one tensor's values; rounded to nearest even to the stored dtype. */
  write(name: string, values: Float32Array): Promise<void>;
  /** Copies every tensor not written, adds the given files, makes it durable and puts it in place. */
  finish(files: Readonly<Record<string, string>>): Promise<void>;
  /** Removes what was begun. Safe to call at any time, also after finish. */
  abandon(): Promise<void>;
}
