import type { SourceFile } from "../data/source.js";
import { loadSource } from "../data/sources.js";
import { sha256OfIds } from "../data/windows.js";
import { checkWindows } from "../model/check-windows.js";
import type { Model } from "../model/model.js";
import type { OnProgress } from "../progress.js";
import { loadTokenizer } from "../tokenizer/tokenizer.js";
import { type SamplingOptions, sampleWindows } from "./sampling.js";

export interface CalibrationOptions {
  /** A built-in name, a file or one of the hub, `hf://datasets/org/name/path`; `c4` where none is given, as in the papers. */
  readonly calibration?: string;
  /** Windows: 128 where not given, or all of a source that holds windows. */
  readonly samples?: number;
  /** Tokens a window: 2048 where not given, or the model's longest if that is less. */
  readonly sequenceLength?: number;
  readonly seed?: number;
  /** `reference`: what the papers' own code chooses for the same seed. */
  readonly sampling?: SamplingOptions["sampling"];
  /** Folder with copies of the built-in data sets. */
  readonly dataDirectory?: string;
}

/** What a method was calibrated on. */
export interface CalibrationRecord {
  readonly source: string;
  readonly split: string | null;
  readonly files: readonly SourceFile[];
  /** How the windows were chosen; null where the source held windows of ids. */
  readonly sampling: (Pick<SamplingOptions, "sampling" | "seed"> & { readonly description: string }) | null;
  readonly windows: number;
  readonly tokens: number;
  /** SHA-256 over the token ids (see sha256OfIds). */
  readonly idsSha256: string;
}

const SOURCE = "c4";
const SEQUENCE_LENGTH = 2048;

/** Chooses the windows that a method is calibrated on. Throws InputError. */
export async function calibrationWindows(
  model: Pick<Model, "architecture" | "checkpoint">,
  options: CalibrationOptions & { readonly onProgress?: OnProgress | undefined },
  signal?: AbortSignal,
): Promise<{ windows: readonly Int32Array[]; record: CalibrationRecord }> {
  const { calibration: name = SOURCE, seed = 0, sampling = "default", dataDirectory, onProgress } = options;
  const { architecture, checkpoint } = model;
  const source = await loadSource(name, { purpose: "calibration", dataDirectory, signal, onProgress });
  const { sequenceLength = Math.min(SEQUENCE_LENGTH, architecture.maxTokens) } = options;
  const tokenizer = source.kind === "windows" ? undefined : await loadTokenizer(checkpoint.path);
  const choice = { samples: options.samples, sequenceLength, seed, sampling };
  const { windows, description } = sampleWindows(source, tokenizer, choice);
  checkWindows(windows, architecture, name);
  const record: CalibrationRecord = {
    source: name,
    split: source.split ?? null,
    files: source.files,
    sampling: source.kind === "windows" ? null : { sampling, seed, description },
    windows: windows.length,
    tokens: windows.reduce((sum, window) => sum + window.length, 0),
    idsSha256: sha256OfIds(windows),
  };
  return { windows, record };
}
