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
  /** The whole tensor, widened to float32. Throws InputError for an unknown name, a dtype other than F32, F16 and BF16, NaN or infinity. */
  read(name: string): Promise<Float32Array>;
  /** Rows of a matrix tensor, widened, one after the other: [rows.length, columns]; in any order, also repeated. */
  readRows(name: string, rows: Int32Array): Promise<Float32Array>;
  /** SHA-256 (hex) over the bytes of config.json and then the shards, in name order: names the weights in results. */
  hash(signal?: AbortSignal): Promise<string>;
  close(): Promise<void>;
}

/** Writes a compressed copy of a checkpoint: whole or not at all. */
export interface CheckpointWriter {
  /** The folder that will appear. */
  readonly output: string;
  /**
   * Replaces one tensor's values; rounded to nearest even to the stored dtype.
   * Throws RunError naming the tensor when there are too few or too many, or one is not finite in that dtype.
   */
  write(name: string, values: Float32Array): Promise<void>;
  /**
   * Copies every tensor not written and the base's config and tokenizer files, adds the given files (name to text; they
   * win over the base's), makes it durable and puts it in place. After an error or an abort, call abandon.
   */
  finish(files: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<void>;
  /** Removes what was begun. Safe to call at any time, also after finish. */
  abandon(): Promise<void>;
}
