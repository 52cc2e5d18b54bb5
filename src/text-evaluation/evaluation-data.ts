import type { SourceFile } from "../data/source.js";
import { loadSource } from "../data/sources.js";
import { evaluationWindows, sha256OfIds } from "../data/windows.js";
import { checkWindows } from "../model/check-windows.js";
import type { Architecture } from "../model/family.js";
import type { OnProgress } from "../progress.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";

export interface EvaluationDataOptions {
  /** A built-in name, a file or one of the hub, `hf://datasets/org/name/path`. */
  readonly data: string;
  /** Tokens a window: 2048 where not given, or the model's longest if that is less. */
  readonly sequenceLength?: number;
  /** Only the first so many windows. */
  readonly windows?: number;
  /** Folder with copies of the built-in data sets. */
  readonly dataDirectory?: string;
}

/** What figures were measured on. */
export interface EvaluationRecord {
  readonly source: string;
  readonly split: string | null;
  readonly files: readonly SourceFile[];
  readonly windows: number;
  readonly tokens: number;
  /** Tokens of the longest window. */
  readonly sequenceLength: number;
  /** SHA-256 over the token ids (see sha256OfIds). */
  readonly idsSha256: string;
}

const SEQUENCE_LENGTH = 2048;

/** The windows of token ids to measure a model on. Throws InputError. */
export async function evaluationData(
  options: EvaluationDataOptions & { readonly onProgress?: OnProgress | undefined },
  tokenizer: () => Promise<Tokenizer | undefined>,
  architecture: Architecture,
  signal: AbortSignal | undefined,
): Promise<{ windows: readonly Int32Array[]; record: EvaluationRecord }> {
  const { data, dataDirectory, onProgress } = options;
  const source = await loadSource(data, { purpose: "evaluation", dataDirectory, signal, onProgress });
  const length = options.sequenceLength ?? Math.min(SEQUENCE_LENGTH, architecture.maxTokens);
  const windows = evaluationWindows(source, source.kind === "windows" ? undefined : await tokenizer(), {
    length,
    count: options.windows,
  });
  checkWindows(windows, architecture, data);
  const record: EvaluationRecord = {
    source: data,
    split: source.split ?? null,
    files: source.files,
    windows: windows.length,
    tokens: windows.reduce((sum, window) => sum + window.length, 0),
    sequenceLength: windows.reduce((most, window) => Math.max(most, window.length), 0),
    idsSha256: sha256OfIds(windows),
  };
  return { windows, record };
}
