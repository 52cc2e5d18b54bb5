import { createHash } from "node:crypto";
import { InputError } from "../errors.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import type { Source } from "./source.js";

/** Characters of a text that is tokenized as one: some hours of evaluation. */
const MAX_EVALUATION_CHARACTERS = 2 ** 26;

export interface WindowOptions {
  /** Tokens a window. */
  readonly length: number;
  /** The first so many windows; all of them without it. */
  readonly count?: number | undefined;
}

/**
 * Windows of token ids to measure on: documents joined by the source's separator, tokenized as one text without special
 * tokens, cut into consecutive windows; the last, shorter one is dropped. Windows of ids are taken as they are.
 * Throws InputError where the text gives fewer windows than asked for, or none, or there is no tokenizer for it.
 */
export function evaluationWindows(
  source: Source,
  tokenizer: Tokenizer | undefined,
  { length, count }: WindowOptions,
): Int32Array[] {
  if (source.kind === "windows") return firstWindows(source.windows, count, source.name);
  const text = requireTokenizer(tokenizer, source.name);
  const characters = source.documents.reduce((sum, document) => sum + document.length + source.separator.length, 0);
  if (characters > MAX_EVALUATION_CHARACTERS) {
    throw new InputError(
      `${source.name}: ${characters} characters, more than the ${MAX_EVALUATION_CHARACTERS} measured on at once; give a part of it`,
    );
  }
  const ids = text.encode(source.documents.join(source.separator), { specialTokens: false });
  const windows = consecutiveWindows(ids, length);
  if (windows.length === 0) {
    throw new InputError(
      `${source.name}: ${ids.length} tokens are less than one window of ${length}; give more text or shorter windows`,
    );
  }
  return firstWindows(windows, count, source.name);
}

/** Full windows one after the other; what is left over is dropped. */
export function consecutiveWindows(ids: Int32Array, length: number): Int32Array[] {
  return Array.from({ length: Math.floor(ids.length / length) }, (_, i) => ids.slice(i * length, (i + 1) * length));
}

/** The first `count` windows. Throws InputError where there are fewer. */
export function firstWindows(windows: readonly Int32Array[], count: number | undefined, name: string): Int32Array[] {
  if (count !== undefined && count > windows.length) {
    throw new InputError(`${name}: has ${windows.length} windows, not ${count}; ask for no more than there are`);
  }
  return windows.slice(0, count);
}

/** Throws InputError where a text meets a model folder without a tokenizer. */
export function requireTokenizer(tokenizer: Tokenizer | undefined, name: string): Tokenizer {
  if (tokenizer) return tokenizer;
  throw new InputError(
    `${name}: text, but the model's folder has no tokenizer.json; put it there or give {"windows": [[ids], ...]} in a .json file`,
  );
}

/** SHA-256 (hexadecimal) of windows of ids: each id as 4 bytes, little-endian, window after window, nothing between. */
export function sha256OfIds(windows: readonly Int32Array[]): string {
  const hash = createHash("sha256");
  for (const window of windows) {
    const bytes = Buffer.alloc(window.length * 4);
    window.forEach((id, i) => {
      bytes.writeInt32LE(id, i * 4);
    });
    hash.update(bytes);
  }
  return hash.digest("hex");
}
