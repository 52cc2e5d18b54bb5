import type { DType } from "../tensor/dtype.js";

/** Where one tensor lies: bytes [begin, end) of `file`, counted from the start of the file. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** What the values are made of, where it is none of these types: Q4_K, in a GGUF file, or how: BF16 bitmask. */
  readonly storedAs?: string | undefined;
  /** File name inside the checkpoint's folder. */
  readonly file: string;
  readonly begin: number;
  readonly end: number;
}

/**
 * A Hugging Face folder, opened, or a GGUF file seen as the folder that it was made of: headers checked, weights still on disk.
 * Tensors are read by position, so that memory holds only what was asked for.
 */
export interface Checkpoint {
  /** What names the model: its folder, or its GGUF file. */
  readonly path: string;
  /** Where its files lie. */
  readonly directory: string;
  /** Where the config is from, for messages. */
  readonly configFile: string;
  /** config.json as parsed; a family checks it. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** The safetensors files, in name order: those that are there, or that a copy of a GGUF file gets. */
  readonly shards: readonly string[];
  /** Content that files have in a dense copy, where the folder's own say that weights are stored otherwise. */
  readonly files?: ReadonlyMap<string, Uint8Array>;
  /** Size of the files of weights, in bytes. */
  readonly bytes: number;
  /**
   * The whole tensor, widened to float32: a new array, which may lie in the memory of `room` where that is as long. Throws
   * InputError for an unknown name, a dtype other than F32, F16 and BF16, NaN or infinity.
   */
  read(name: string, room?: ArrayBufferView): Promise<Float32Array>;
  /** The bits of a tensor of BF16, read and checked likewise; undefined for one that does not lie there as such. */
  readBfloat16(name: string, room?: ArrayBufferView): Promise<Uint16Array | undefined>;
  /** Rows of a matrix tensor, widened, one after the other: [rows.length, columns]; in any order, also repeated. */
  readRows(name: string, rows: Int32Array): Promise<Float32Array>;
  /** The size of a shard, in bytes. */
  shardBytes(shard: string): number;
  /** Fills `into` with a shard's bytes from `position` on. */
  readShard(shard: string, into: Uint8Array, position: number): Promise<void>;
  /** SHA-256 (hex) over the bytes of config.json and then the shards, in name order, or of a GGUF file: names the weights in results. */
  hash(signal?: AbortSignal): Promise<string>;
  close(): Promise<void>;
}

/** Writes a compressed copy of a checkpoint: whole or not at all. */
export interface CheckpointWriter {
  /** The folder that will appear. */
  readonly output: string;
  /** What an earlier run of the same description committed, in order; empty for a new one. */
  readonly done: readonly unknown[];
  /** Whether what an earlier run of another description left was removed. */
  readonly startedOver: boolean;
  /**
   * Replaces one tensor's values; rounded to nearest even to the stored dtype.
   * Throws RunError naming the tensor when there are too few or too many, or one is not finite in that dtype.
   */
  write(name: string, values: Float32Array): Promise<void>;
  /** A tensor as it was written, or else as the base has it, widened to float32. */
  read(name: string): Promise<Float32Array>;
  /** Makes durable what was written, and remembers that with `value` (JSON) for a run that goes on from here. */
  commit(value: unknown): Promise<void>;
  /**
   * Copies every tensor not written and the base's config and tokenizer files, adds the given files (name to text; they
   * win over the base's), makes it durable and puts it in place. After an error or an abort, call abandon.
   */
  finish(files: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<void>;
  /**
   * Removes what was begun, or keeps what was committed for a run that goes on. Safe to call at any time, also after
   * finish.
   */
  abandon(options?: { readonly keep: boolean }): Promise<void>;
}
