import { type CalibrationOptions, type CalibrationRecord, calibrationWindows } from "./calibration/calibration.js";
import type { Checkpoint, CheckpointWriter } from "./checkpoint/checkpoint.js";
import { folderBefore } from "./checkpoint/gguf/output.js";
import { RECORD_FILE } from "./checkpoint/layout.js";
import { openCheckpoint } from "./checkpoint/open.js";
import { createCheckpointWriter } from "./checkpoint/write.js";
import { commitTo, finishedLayers } from "./compression/finished-layers.js";
import { checkGgufOutput, findWrittenType, finishedFolder, folderToGguf, type GgufOutput } from "./compression/gguf.js";
import { allSites, compressLayers } from "./compression/layers.js";
import { type Device, type Engine, howComputed, type Precision } from "./engine/engine.js";
import { createEngine } from "./engine/registry.js";
import { InputError, throwIfAborted } from "./errors.js";
import { resolveModel } from "./hub/model.js";
import { mustSpill } from "./memory/compression.js";
import { collectGarbage } from "./memory/garbage.js";
import type { Method, Target } from "./methods/method.js";
import { findMethod, parseMethodOptions } from "./methods/registry.js";
import { checkTarget, parseTarget } from "./methods/target.js";
import { checkOthers, warnOfUnused } from "./model/check-others.js";
import { openModel } from "./model/model.js";
import { type Selection, selectSites } from "./model/select-sites.js";
import { createProfiler, type Profile } from "./profile.js";
import { createStopwatch, type OnProgress } from "./progress.js";
import {
  type CompressionRecord,
  modelCard,
  type SiteResult,
  targetRecord,
  totalSparsity,
} from "./results/compression-record.js";
import { environmentRecord } from "./results/environment.js";
import { modelRecord } from "./results/model-record.js";

export interface CompressOptions extends Selection, CalibrationOptions {
  /** The base model: its folder, or `org/name[@revision]` of the Hugging Face hub. */
  readonly model: string;
  /** Of a model of the hub, where its name has none: a branch, a tag or a commit. */
  readonly revision?: string;
  /** Folder to write, or file with the format gguf; must not be there unless `force`. */
  readonly output: string;
  readonly force?: boolean;
  /** How the result is written: as the base is (`hf`), with sparse weights as bitmasks, or as one GGUF file. */
  readonly format?: "hf" | "sparse-bitmask" | "gguf";
  /** What matrices are written as in GGUF: f32, f16 (where not given), bf16, q8_0 or q4_0. */
  readonly ggufType?: string;
  readonly method: string;
  /** The method's own options, `damping` say. */
  readonly methodOptions?: Readonly<Record<string, unknown>>;
  /** Share of zeros, in [0, 1). */
  readonly sparsity?: number | string;
  /** `n:m`: n zeros of every m consecutive inputs. */
  readonly pattern?: string;
  /** Its name, or `auto`, as where it is left out. */
  readonly engine?: string;
  /** What the engine onnxruntime computes on; the processor where it is left out. */
  readonly device?: Device;
  /** Of matrix products; the engine's own where it is left out. */
  readonly precision?: Precision;
  readonly threads?: number;
  /** Bytes that the process may take in all; hidden states that do not fit lie on disk. */
  readonly memory?: number;
  /** Also say where the time went. */
  readonly profile?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

export interface CompressResult {
  readonly output: string;
  /** Share of zeros over the compressed sites. */
  readonly sparsity: number;
  readonly sites: Readonly<Record<string, SiteResult>>;
  readonly calibration: CalibrationRecord | null;
  /** By stage: embed, read, calibrate, compress, propagate, write, gguf. */
  readonly seconds: Readonly<Record<string, number>>;
  readonly profile?: Profile;
}

/**
 * Compresses a checkpoint and writes the result as a checkpoint of the same layout. Whole or not at all. When it is
 * stopped, finished layers are kept beside the output, and the same call goes on from there, to the same bytes.
 * Throws InputError, RunError, AbortError.
 */
export async function compress(options: CompressOptions): Promise<CompressResult> {
  if (options.format !== "gguf") {
    if (options.ggufType !== undefined) throw new InputError("--gguf-type is of --format gguf: give both");
    if (/\.gguf$/i.test(options.output)) {
      throw new InputError(`${options.output}: ends as a GGUF file does; give --format gguf too, or name a folder`);
    }
    return compressToFolder(options);
  }
  const { output, force = false, signal } = options;
  const gguf = { output, force, type: findWrittenType(options.ggufType ?? "f16") };
  // What an earlier try left of another model is of no use to anybody.
  const folder = { output: folderBefore(output), force: true };
  const result = await compressToFolder({ ...options, ...folder }, gguf);
  const watch = createStopwatch(result.seconds);
  await watch.time("gguf", () => folderToGguf(gguf, signal));
  return { ...result, output, seconds: watch.seconds };
}

/** The folder is what a GGUF file will be made of, where one is to be. */
async function compressToFolder(options: CompressOptions, gguf?: GgufOutput): Promise<CompressResult> {
  const method = findMethod(options.method);
  const methodOptions = parseMethodOptions(method, options.methodOptions ?? {});
  const target = parseTarget(options);
  const engine = createEngine(options.engine, { ...options, frugal: options.memory !== undefined });
  try {
    await engine.check?.();
    const checkpoint = await openCheckpoint(await resolveModel(options.model, options));
    try {
      return await compressCheckpoint(checkpoint, engine, { method, methodOptions, target }, options, gguf);
    } finally {
      await checkpoint.close();
    }
  } finally {
    await engine.dispose();
  }
}

interface How {
  readonly method: Method;
  readonly methodOptions: unknown;
  readonly target: Target;
}

async function compressCheckpoint(
  checkpoint: Checkpoint,
  engine: Engine,
  { method, methodOptions, target }: How,
  options: CompressOptions,
  gguf: GgufOutput | undefined,
): Promise<CompressResult> {
  const { signal, onProgress = () => {} } = options;
  let writer: CheckpointWriter | undefined;
  try {
    const model = openModel(checkpoint);
    const besides = gguf ? await checkGgufOutput(checkpoint, gguf) : 0;
    await checkOthers(model, signal);
    warnOfUnused(model, onProgress);
    const selected = selectSites(model, options);
    for (const site of allSites(model, selected)) checkTarget(target, site.in, site.name);
    const isCalibrated = method.needs !== "nothing";
    if (!isCalibrated && options.calibration !== undefined) {
      const message = `--calibration ${options.calibration} is not used: method ${method.name} needs no data`;
      onProgress({ kind: "note", message });
    }
    const calibration = isCalibrated ? await calibrationWindows(model, options, signal) : undefined;
    const windows = calibration?.windows ?? [];
    const spill = await mustSpill(model, engine, method, windows, options.memory);
    const tidy = options.memory === undefined ? () => {} : collectGarbage;
    const environment = environmentRecord(engine);
    const made = {
      method: method.name,
      methodOptions,
      ...targetRecord(target),
      only: options.only ?? [],
      skip: options.skip ?? [],
    };
    const sparse = options.format === "sparse-bitmask";
    const describe = (base: string) => ({
      format: "pare.compression/1" as const,
      ...made,
      calibration: calibration?.record ?? null,
      base: modelRecord(checkpoint.path, base),
      environment,
      ...(sparse ? { storage: "sparse-bitmask" as const } : {}),
    });
    let base = "";
    /** All that determines the weights: what was begun under another description is not gone on with. */
    const run = async () => {
      base ||= await checkpoint.hash(signal);
      const { pare, engineVersion } = environment;
      const calibrated = calibration?.record.idsSha256 ?? null;
      return { base, ...made, version: method.version, calibrated, pare, engine: howComputed(engine), engineVersion };
    };
    if (gguf) {
      base = await checkpoint.hash(signal);
      const finished = await finishedFolder(options.output, describe(base));
      if (finished) {
        onProgress({ kind: "note", message: `continuing with ${options.output}` });
        return { ...finished, output: options.output, calibration: calibration?.record ?? null, seconds: {} };
      }
    }
    const bitmask = sparse ? new Set(allSites(model, selected).map(({ stored }) => stored.tensor)) : undefined;
    const { force = false } = options;
    writer = await createCheckpointWriter(checkpoint, options.output, { force, run, bitmask, besides });
    const { finish } = writer;
    if (writer.startedOver) {
      const message = `${options.output}.partial: was begun with other options, data or versions; beginning anew`;
      onProgress({ kind: "note", message });
    }
    const finished = finishedLayers(writer);
    if (finished.layers > 0) {
      const place = Math.min(finished.layers + 1, model.layers.length);
      onProgress({ kind: "note", message: `continuing at layer ${place} of ${model.layers.length}` });
      await commitTo(writer, { resumedAt: finished.layers });
    }
    const watch = createStopwatch(finished.seconds);
    const profiler = options.profile ? createProfiler(watch) : undefined;
    const who = profiler
      ? { model: openModel(profiler.checkpoint(checkpoint)), engine: profiler.engine(engine) }
      : { model, engine };
    const what = { ...who, method, methodOptions, target, selected, writer, finished };
    const sites = await compressLayers({ ...what, spill, tidy, watch, onProgress }, windows, signal);
    const record: CompressionRecord = {
      ...describe(base),
      ...(finished.layers > 0 ? { resumedAt: [...new Set([...finished.resumedAt, finished.layers])] } : {}),
      result: { sparsity: totalSparsity(sites), sites },
    };
    throwIfAborted(signal);
    const files = { [RECORD_FILE]: `${JSON.stringify(record, null, 2)}\n`, "README.md": modelCard(record) };
    await watch.time("write", () => finish(files, signal));
    const { sparsity } = record.result;
    const result = { output: options.output, sparsity, sites, calibration: record.calibration, seconds: watch.seconds };
    return profiler ? { ...result, profile: await profiler.finish(engine) } : result;
  } catch (error) {
    // Finished layers stay for the same command, unless its input has to change first.
    await writer?.abandon({ keep: !(error instanceof InputError) });
    throw error;
  }
}
