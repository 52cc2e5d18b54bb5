import { join } from "node:path";
import { FEW_TOKENS, observe } from "../calibration/statistics.js";
import type { CheckpointWriter } from "../checkpoint/checkpoint.js";
import type { Engine, Weight, Weights } from "../engine/engine.js";
import { RunError, throwIfAborted } from "../errors.js";
import { createShared, type Method, type MethodContext, type Statistics, type Target } from "../methods/method.js";
import { countZeros } from "../methods/target.js";
import { type Batches, embedWindows, propagate } from "../model/batches.js";
import { type Layer, type Model, openModel, type Site } from "../model/model.js";
import { spillWindows } from "../model/spill.js";
import { createWeightWriter, type WeightWriter } from "../model/storage.js";
import type { OnProgress, Stopwatch } from "../progress.js";
import type { SiteResult } from "../results/compression-record.js";
import { fromBfloat16, isFloatDType, rounded, toBfloat16 } from "../tensor/dtype.js";
import { commitTo, type FinishedLayers } from "./finished-layers.js";

/** What the layer loop works with. */
export interface Plan {
  readonly model: Model;
  readonly engine: Engine;
  readonly method: Method;
  readonly methodOptions: unknown;
  readonly target: Target;
  readonly selected: ReadonlySet<string>;
  readonly writer: CheckpointWriter;
  /** What earlier runs did of it. */
  readonly finished: FinishedLayers;
  /** Whether hidden states lie on disk. */
  readonly spill: boolean;
  /** Called when memory is not needed any more. */
  readonly tidy: () => void;
  readonly watch: Stopwatch;
  readonly onProgress: OnProgress;
}

/**
 * The one layer loop, the same for every method: run the windows through the still dense block and observe what its
 * sites read; compress the sites; run the windows through the compressed block to make the next block's inputs.
 */
export async function compressLayers(
  plan: Plan,
  windows: readonly Int32Array[],
  signal: AbortSignal | undefined,
): Promise<Record<string, SiteResult>> {
  const { model, finished, watch, tidy } = plan;
  const left = model.layers.slice(finished.layers);
  const seen = left.length > 0 ? windows : [];
  const progress = layerProgress(plan, seen.length);
  const results: Record<string, SiteResult> = { ...finished.sites };
  const writer = createWeightWriter(allSites(model, plan.selected), model.checkpoint.read, plan.writer.write);
  // The engine leaves a copy of every run's output behind.
  const onWindows = (count: number) => {
    tidy();
    progress.windows(count);
  };
  const { batches, close } = await watch.time("embed", () => embedCalibration(plan, seen));
  try {
    if (finished.layers > 0 && seen.length > 0) {
      await watch.time("resume", () => repeat(plan, batches, onWindows, signal));
    }
    let old: Weights | undefined;
    for (const layer of left) {
      throwIfAborted(signal);
      const { sites, weights } = await compressLayer(plan, layer, old, batches, writer, onWindows, signal);
      old = weights;
      Object.assign(results, sites);
      tidy();
      progress.layer(layer);
    }
  } finally {
    await close();
  }
  return results;
}

async function embedCalibration(
  { model, engine, writer, spill }: Plan,
  windows: readonly Int32Array[],
): Promise<{ readonly batches: Batches; close(): Promise<void> }> {
  if (!spill) return { batches: await embedWindows(model, engine, windows), close: async () => {} };
  const batches = await spillWindows(model, engine, windows, join(`${writer.output}.partial`, "hidden-states"));
  return { batches, close: batches.close };
}

/**
 * One layer: observed, compressed, remembered as finished, and run to give the next one's input. Its weights are read into the
 * memory of `old`, those of the layer before, and returned as they are in the end.
 */
async function compressLayer(
  plan: Plan,
  layer: Layer,
  old: Weights | undefined,
  batches: Batches,
  writer: WeightWriter,
  onWindows: (count: number) => void,
  signal: AbortSignal | undefined,
): Promise<{ readonly sites: Record<string, SiteResult>; readonly weights: Weights }> {
  const { model, engine, method, selected, watch, tidy } = plan;
  const weights = new Map(await watch.time("read", () => model.layerWeights(engine, layer, old)));
  const sites = layer.sites.filter((site) => selected.has(site.name));
  const executable = await engine.compile(layer.program);

  let statistics: Statistics[] = [];
  if (method.needs !== "nothing" && sites.length > 0) {
    const { needs } = method;
    statistics = await watch.time("calibrate", () =>
      observe(executable, layer.program, batches, weights, needs, onWindows, signal),
    );
    warnOfFewTokens(plan, layer, sites, statistics);
  }
  const results: Record<string, SiteResult> = {};
  const shared = createShared();
  for (const site of sites) {
    throwIfAborted(signal);
    tidy();
    const name = `${site.local}.weight`;
    const weight = weights.get(name)!;
    const compressed = await watch.time("compress", () =>
      compressSite(plan, shared, site, inFloat32(weight), statistics[site.input]),
    );
    weights.set(name, inPlaceOf(weight, compressed));
    const seen = site.expert ? statistics[site.input]?.tokens : undefined;
    const counts = { zeros: countZeros(compressed), size: compressed.length };
    results[site.name] = seen === undefined ? counts : { ...counts, tokens: seen };
    await watch.time("write", () => writer.write(site, compressed));
  }
  await watch.time("write", () => commitTo(plan.writer, { sites: results, seconds: { ...watch.seconds } }));
  if (layer.index < model.layers.length - 1) {
    await watch.time("propagate", () =>
      propagate(executable, batches, weights, (batch) => {
        throwIfAborted(signal);
        onWindows(batch.windows);
      }),
    );
  }
  return { sites: results, weights };
}

function inFloat32(weight: Weight): Float32Array {
  return weight instanceof Float32Array ? weight : fromBfloat16(weight);
}

/** Numbers that were rounded to what is stored, in the memory of `weight`, which the next layer's are read to. */
function inPlaceOf(weight: Weight, values: Float32Array): Weight {
  const numbers = weight.subarray();
  if (numbers instanceof Float32Array) numbers.set(values);
  else toBfloat16(values, numbers);
  return numbers;
}

/**
 * Runs the windows through the layers that an earlier run compressed. Weights were rounded to the stored dtype before they
 * were used, so what comes out is what that run had, to the last bit.
 */
async function repeat(
  { model, engine, writer, finished, tidy }: Plan,
  batches: Batches,
  onWindows: (count: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  // What was written is in the writer alone, of whatever dtype.
  const written = { read: writer.read, readBfloat16: async () => undefined };
  const compressed = openModel({ ...model.checkpoint, ...written });
  const run = async (layer: Layer) => {
    const weights = await compressed.layerWeights(engine, layer);
    const executable = await engine.compile(layer.program);
    await propagate(executable, batches, weights, (batch) => {
      throwIfAborted(signal);
      onWindows(batch.windows);
    });
  };
  for (const layer of compressed.layers.slice(0, finished.layers)) {
    throwIfAborted(signal);
    await run(layer);
    tidy();
  }
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
    return isFloatDType(dtype) ? rounded(compressed.data, dtype) : compressed.data;
  } catch (error) {
    if (error instanceof RunError) throw new RunError(`${site.name}: ${error.message}`, { cause: error });
    throw error;
  }
}

/** Counts windows that went through a block; a layer counts at least one step, so that magnitude's progress shows too. */
function layerProgress({ model, method, finished, onProgress }: Plan, windows: number) {
  const stepsALayer = 2 * windows + 1;
  const layers = model.layers.length;
  const repeated = finished.layers * windows;
  const stepsUntil = (layer: number) => repeated + (layer - finished.layers) * stepsALayer;
  let done = 0;
  onProgress({ kind: "start", what: `${method.name}`, total: stepsUntil(layers) });
  return {
    windows(count: number): void {
      done += count;
      onProgress({ kind: "step", done });
    },
    layer({ index }: Layer): void {
      done = stepsUntil(index + 1);
      onProgress({ kind: "step", done, note: `layer ${index + 1}/${layers}` });
    },
  };
}

/** The sites that are to be compressed. */
export function allSites(model: Model, selected: ReadonlySet<string>): Site[] {
  return model.layers.flatMap((layer) => layer.sites).filter((site) => selected.has(site.name));
}
