import { basename } from "node:path";
import { bitmaskBytes } from "./checkpoint/bitmask/codec.js";
import type { Checkpoint, TensorEntry } from "./checkpoint/checkpoint.js";
import { openCheckpoint } from "./checkpoint/open.js";
import { InputError, throwIfAborted } from "./errors.js";
import { type HubOrigin, hubOrigin } from "./hub/cache.js";
import { resolveModel } from "./hub/model.js";
import { type Model, openModel, type Site } from "./model/model.js";
import type { OnProgress } from "./progress.js";
import { readRecord } from "./results/read-record.js";
import { DTYPE_BYTES, type DType, isFloatDType } from "./tensor/dtype.js";

/** What a checkpoint is, and how many of the weights that a method may compress are zero. */
export interface InspectResult {
  readonly path: string;
  /** Where it is from, if that is the Hugging Face hub. */
  readonly hub: HubOrigin | null;
  /** The family that computes it, or null where it cannot be computed; `unsupported` then says why. */
  readonly family: string | null;
  readonly unsupported: string | null;
  /** Blocks; null where the family is unknown. */
  readonly layers: number | null;
  /** Numbers stored in all tensors. */
  readonly parameters: number;
  /** Numbers stored, by dtype, or by the type of GGUF that they are quantized to. */
  readonly dtypes: Readonly<Record<string, number>>;
  /** The files of weights and their size together, in bytes. */
  readonly shards: readonly string[];
  readonly bytes: number;
  readonly sites: readonly SiteInspection[];
  /** All sites together. */
  readonly total: { readonly size: number; readonly zeros: number };
  /**
   * Bytes the files would have with every site in compressed-tensors' bitmask format where that is smaller; null where there
   * are no sites, or weights are quantized or stored so.
   */
  readonly bitmaskBytes: number | null;
  /** pare.json, where the checkpoint was made by pare. */
  readonly record: Readonly<Record<string, unknown>> | null;
}

/** One weight [out, in]. */
export interface SiteInspection {
  readonly name: string;
  /** Name inside the block, the same in every layer: `self_attn.q_proj`. */
  readonly kind: string;
  readonly out: number;
  readonly in: number;
  readonly dtype: DType;
  readonly size: number;
  readonly zeros: number;
  /** The strictest n:m (n zeros in every m consecutive inputs of every row) that explains the zeros, or null. */
  readonly pattern: string | null;
  readonly bytes: number;
  readonly bitmaskBytes: number;
}

export interface InspectOptions {
  /** Of a model of the hub, where its name has none: a branch, a tag or a commit. */
  readonly revision?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

/**
 * Reads a checkpoint, one tensor at a time, and counts the zeros of every weight that a method may compress. `path` is its
 * folder, or `org/name[@revision]` of the Hugging Face hub. Throws InputError for what is no checkpoint, RunError, AbortError.
 */
export async function inspect(path: string, options: InspectOptions = {}): Promise<InspectResult> {
  const { signal } = options;
  const directory = await resolveModel(path, options);
  const checkpoint = await openCheckpoint(directory);
  try {
    const tensors = [...checkpoint.tensors.values()];
    const dtypes: Record<string, number> = {};
    for (const tensor of tensors) {
      const type = tensor.storedAs ?? tensor.dtype;
      dtypes[type] = (dtypes[type] ?? 0) + elements(tensor);
    }
    const size = checkpoint.bytes;
    const isPacked = tensors.some(({ storedAs, dtype }) => storedAs !== undefined && storedAs !== dtype);

    const { model, reason } = tryModel(checkpoint);
    const sites: SiteInspection[] = [];
    for (const site of model?.layers.flatMap((layer) => layer.sites) ?? []) {
      throwIfAborted(signal);
      sites.push(await inspectSite(model!, site));
    }
    return {
      path,
      hub: hubOrigin(directory) ?? null,
      family: model?.family ?? null,
      unsupported: reason ?? null,
      layers: model?.layers.length ?? null,
      parameters: sum(tensors, elements),
      dtypes,
      shards: checkpoint.path === checkpoint.directory ? checkpoint.shards : [basename(checkpoint.path)],
      bytes: size,
      sites,
      total: { size: sum(sites, (site) => site.size), zeros: sum(sites, (site) => site.zeros) },
      bitmaskBytes: model && sites.length > 0 && !isPacked ? size - savedByBitmasks(model, sites) : null,
      record: await readRecord(checkpoint.path),
    };
  } finally {
    await checkpoint.close();
  }
}

/** The model, or the reason why pare cannot compute it. */
function tryModel(checkpoint: Checkpoint): { model?: Model; reason?: string } {
  try {
    const model = openModel(checkpoint);
    for (const { stored } of model.layers.flatMap((layer) => layer.sites)) {
      const { tensor } = stored;
      const { dtype } = checkpoint.tensors.get(tensor)!;
      if (!isFloatDType(dtype)) return { reason: `tensor ${tensor} is stored as ${dtype}, not as F32, F16 or BF16` };
    }
    return { model };
  } catch (error) {
    if (error instanceof InputError) return { reason: error.message };
    throw error;
  }
}

async function inspectSite(model: Model, site: Site): Promise<SiteInspection> {
  const { dtype } = model.checkpoint.tensors.get(site.stored.tensor)!;
  const values = await model.siteWeight(site);
  let zeros = 0;
  for (let i = 0; i < values.length; i++) if (values[i] === 0) zeros++;
  const pattern = zeros === 0 ? undefined : strictestPattern(values, site.in, zeros / values.length);
  return {
    name: site.name,
    kind: site.local,
    out: site.out,
    in: site.in,
    dtype,
    size: values.length,
    zeros,
    pattern: pattern ?? null,
    bytes: values.length * DTYPE_BYTES[dtype],
    bitmaskBytes: bitmaskBytes(site.out, site.in, values.length - zeros, DTYPE_BYTES[dtype]),
  };
}

/** Bytes that go when every tensor with sites is stored as a bitmask where that is smaller. */
function savedByBitmasks({ checkpoint, layers }: Model, sites: readonly SiteInspection[]): number {
  const zerosOf = new Map(sites.map(({ name, zeros }) => [name, zeros]));
  const zerosIn = new Map<string, number>();
  for (const { name, stored } of layers.flatMap((layer) => layer.sites)) {
    zerosIn.set(stored.tensor, (zerosIn.get(stored.tensor) ?? 0) + zerosOf.get(name)!);
  }
  return sum([...zerosIn], ([tensor, zeros]) => {
    const { dtype, shape, begin, end } = checkpoint.tensors.get(tensor)!;
    const [rows = 0, columns = 0] = shape;
    const bytes = bitmaskBytes(rows, columns, rows * columns - zeros, DTYPE_BYTES[dtype]);
    return Math.max(0, end - begin - bytes);
  });
}

/** Group sizes that hardware and papers use. */
const GROUPS = [2, 4, 8];

/**
 * The n:m with the largest n/m such that every m consecutive inputs of every row hold at least n zeros; of equal ones
 * (1:2, 2:4) that of the smallest m. One that accounts for less than half of the zeros is there by chance: none.
 */
export function strictestPattern(values: Float32Array, columns: number, share: number): string | undefined {
  let best = { n: 0, m: 1 };
  for (const m of GROUPS) {
    if (columns % m !== 0) continue;
    const n = leastZeros(values, m);
    if (n < m && n / m > best.n / best.m) best = { n, m };
  }
  return best.n > 0 && best.n / best.m >= share / 2 ? `${best.n}:${best.m}` : undefined;
}

/** The fewest zeros that any m consecutive values hold, from the first on; rows are a multiple of m long. */
function leastZeros(values: Float32Array, m: number): number {
  let least = m;
  for (let begin = 0; begin < values.length && least > 0; begin += m) {
    let zeros = 0;
    for (let i = begin; i < begin + m; i++) if (values[i] === 0) zeros++;
    if (zeros < least) least = zeros;
  }
  return least;
}

function elements({ shape }: TensorEntry): number {
  return shape.reduce((product, size) => product * size, 1);
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}
