import { type CalibrationOptions, type CalibrationRecord, calibrationWindows } from "./calibration/calibration.js";
import { FEW_TOKENS, observe } from "./calibration/statistics.js";
import type { CheckpointWriter } from "./checkpoint/checkpoint.js";
import { openCheckpoint } from "./checkpoint/open.js";
import { createCheckpointWriter } from "./checkpoint/write.js";
import type { Engine } from "./engine/engine.js";
import { createEngine } from "./engine/registry.js";
import { RunError, throwIfAborted } from "./errors.js";
import { createShared, type Method, type MethodContext, type Statistics, type Target } from "./methods/method.js";
import { findMethod, parseMethodOptions } from "./methods/registry.js";
import { checkTarget, countZeros, parseTarget } from "./methods/target.js";
import { type Batch, embedWindows, propagate } from "./model/batches.js";
import { type Layer, type Model, openModel, type Site } from "./model/model.js";
import { type Selection, selectSites } from "./model/select-sites.js";
import { createWeightWriter } from "./model/storage.js";
import { createStopwatch, type OnProgress } from "./progress.js";
import {
  type CompressionRecord,
  modelCard,
  type SiteResult,
  targetRecord,
  totalSparsity,
} from "./results/compression-record.js";
import { environmentRecord } from "./results/environment.js";
import { isFloatDType, narrow, widen } from "./tensor/dtype.js";

export interface CompressOptions extends Selection, CalibrationOptions {
  /** Folder of the base model. */
  readonly model: string;
  /** Folder to write; must not be there unless `force`. */
  readonly output: string;
  readonly force?: boolean;
  readonly method: string;
  /** The method's own options, `damping` say. */
  readonly methodOptions?: Readonly<Record<string, unknown>>;
  /** Share of zeros, in [0, 1). */
  readonly sparsity?: number | string;
  /** `n:m`: n zeros of every m consecutive inputs. */
  readonly pattern?: string;
  readonly engine?: string;
  readonly threads?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

export interface CompressResult {
  readonly output: string;
  /** Share of zeros over the compressed sites. */
  readonly sparsity: number;
  readonly sites: Readonly<Record<string, SiteResult>>;
  readonly calibration: CalibrationRecord | null;
  /** By stage: embed, read, calibrate, compress, propagate, write. */
  readonly seconds: Readonly<Record<string, number>>;
}

/**
 * Compresses a checkpoint and writes the result as a checkpoint of the same layout. Whole or not at all.
 * Throws InputError, RunError, AbortError.
 */
export async function compress(options: CompressOptions): Promise<CompressResult> {
  const { signal, onProgress = () => {} } = options;
  const method = findMethod(options.method);
  const methodOptions = parseMethodOptions(method, options.methodOptions ?? {});
  const target = parseTarget(options);
  const engine = createEngine(options.engine, options);
  const checkpoint = await openCheckpoint(options.model);
  let writer: CheckpointWriter | undefined;
  try {
    const model = openModel(checkpoint);
    const selected = selectSites(model, options);
    for (const site of allSites(model, selected)) checkTarget(target, site.in, site.name);
    const calibration = method.needs === "nothing" ? undefined : await calibrationWindows(model, options, signal);
    writer = await createCheckpointWriter(checkpoint, options.output, { force: options.force ?? false });
    const { finish } = writer;
    const watch = createStopwatch();
    const plan: Plan = { model, engine, method, methodOptions, target, selected, writer, watch, onProgress };
    const sites = await compressLayers(plan, calibration?.windows, signal);
    const base = await checkpoint.hash(signal);
    const record: CompressionRecord = {
      format: "pare.compression/1",
      method: method.name,
      methodOptions,
      ...targetRecord(target),
      only: options.only ?? [],
      skip: options.skip ?? [],
      calibration: calibration?.record ?? null,
      base: { path: options.model, sha256: base },
      environment: environmentRecord(engine),
      result: { sparsity: totalSparsity(sites), sites },
    };
    throwIfAborted(signal);
    const files = { "pare.json": `${JSON.stringify(record, null, 2)}\n`, "README.md": modelCard(record) };
    await watch.time("write", () => finish(files, signal));
    const { sparsity } = record.result;
    return { output: options.output, sparsity, sites, calibration: record.calibration, seconds: watch.seconds };
  } finally {
    await writer?.abandon();
    await engine.dispose();
    await checkpoint.close();
  }
}

interface Plan {
  readonly model: Model;
  readonly engine: Engine;
  readonly method: Method;
  readonly methodOptions: unknown;
  readonly target: Target;
  readonly selected: ReadonlySet<string>;
  readonly writer: CheckpointWriter;
  readonly watch: ReturnType<typeof createStopwatch>;
  readonly onProgress: OnProgress;
}

/**
 * The one layer loop, the same for every method: run the windows through the still dense block and observe what its
 * sites read; compress the sites; run the windows through the compressed block to make the next block's inputs.
 */
async function compressLayers(
  plan: Plan,
  windows: readonly Int32Array[] | undefined,
  signal: AbortSignal | undefined,
): Promise<Record<string, SiteResult>> {
  const { model, engine, method, selected, watch } = plan;
  const batches = windows ? await watch.time("embed", () => embedWindows(model, engine, windows)) : [];
  const progress = layerProgress(plan, batches);
  const results: Record<string, SiteResult> = {};
  const writer = createWeightWriter(allSites(model, selected), model.checkpoint.read, plan.writer.write);
  for (const layer of model.layers) {
    throwIfAborted(signal);
    const weights = await watch.time("read", () => model.layerWeights(layer));
    const sites = layer.sites.filter((site) => selected.has(site.name));
    const executable = await engine.compile(layer.program);

    let statistics: Statistics[] = [];
    if (method.needs !== "nothing" && sites.length > 0) {
      const { needs } = method;
      statistics = await watch.time("calibrate", () =>
        observe(executable, layer.program, batches, weights, needs, progress.windows, signal),
      );
      warnOfFewTokens(plan, layer, sites, statistics);
    }
    const shared = createShared();
    for (const site of sites) {
      throwIfAborted(signal);
      const weight = weights.get(`${site.local}.weight`)!;
      const compressed = await watch.time("compress", () =>
        compressSite(plan, shared, site, weight, statistics[site.input]),
      );
      weights.set(`${site.local}.weight`, compressed);
      const seen = site.expert ? statistics[site.input]?.tokens : undefined;
      const counts = { zeros: countZeros(compressed), size: compressed.length };
      results[site.name] = seen === undefined ? counts : { ...counts, tokens: seen };
      await watch.time("write", () => writer.write(site, compressed));
    }
    if (layer.index < model.layers.length - 1) {
      await watch.time("propagate", () =>
        propagate(executable, batches, weights, (batch) => {
          throwIfAborted(signal);
          progress.windows(batch.windows);
        }),
      );
    }
    progress.layer(layer);
  }
  return results;
}

/** Says which experts of a layer were judged by too few tokens. */
function warnOfFewTokens(
  { model, onProgress }: Plan,
  { index }: Layer,
  sites: readonly Site[],
  statistics: readonly Statistics[],
): void {
  const experts = sites.filter(({ expert }) => expert);
  const tokens = (site: Site) => statistics[site.input]!.tokens;
  const few = experts.filter((site) => tokens(site) < FEW_TOKENS).sort((a, b) => tokens(a) - tokens(b));
  const [least] = few;
  if (!least) return;
  const layer = model.architecture.layerPrefix(index).replace(/\.$/, "");
  const none = tokens(least) === 0 ? "; weights that no token reached are judged by themselves alone" : "";
  const message =
    `${layer}: ${few.length} of ${experts.length} weights of experts saw fewer than ${FEW_TOKENS} calibration tokens ` +
    `(${least.local} ${tokens(least)}); use more or longer windows${none}`;
  onProgress({ kind: "warning", message });
}

/** One site through the method, rounded to the dtype it will be stored in, so that what follows sees what is saved. */
async function compressSite(
  { model, method, methodOptions, target, engine, onProgress }: Plan,
  shared: MethodContext["shared"],
  site: Site,
  weight: Float32Array,
  statistics: Statistics | undefined,
): Promise<Float32Array> {
  const matrix = { rows: site.out, columns: site.in, data: weight };
  const warn = (message: string) => onProgress({ kind: "warning", message: `${site.name}: ${message}` });
  const none: Statistics = { windows: 0, tokens: 0 };
  try {
    const context = { multiply: engine.multiply, warn, shared };
    const compressed = await method.compress(matrix, statistics ?? none, target, methodOptions, context);
    const { dtype } = model.checkpoint.tensors.get(site.stored.tensor)!;
    return isFloatDType(dtype) && dtype !== "F32" ? widen(narrow(compressed.data, dtype), dtype) : compressed.data;
  } catch (error) {
    if (error instanceof RunError) throw new RunError(`${site.name}: ${error.message}`, { cause: error });
    throw error;
  }
}

/** Counts windows that went through a block; a layer counts at least one step, so that magnitude's progress shows too. */
function layerProgress({ model, method, onProgress }: Plan, batches: readonly Batch[]) {
  const windows = batches.reduce((sum, batch) => sum + batch.windows, 0);
  const stepsALayer = 2 * windows + 1;
  const layers = model.layers.length;
  let done = 0;
  onProgress({ kind: "start", what: `${method.name}`, total: layers * stepsALayer });
  return {
    windows(count: number): void {
      done += count;
      onProgress({ kind: "step", done });
    },
    layer({ index }: Layer): void {
      done = (index + 1) * stepsALayer;
      onProgress({ kind: "step", done, note: `layer ${index + 1}/${layers}` });
    },
  };
}

function allSites(model: Model, selected: ReadonlySet<string>): Site[] {
  return model.layers.flatMap((layer) => layer.sites).filter((site) => selected.has(site.name));
}
