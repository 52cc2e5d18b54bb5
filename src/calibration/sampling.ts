import type { DocumentSource, Source } from "../data/source.js";
import { consecutiveWindows, firstWindows, requireTokenizer } from "../data/windows.js";
import { InputError } from "../errors.js";
import { createMersenneTwister } from "../random/mersenne.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";

/** The field's convention: 128 windows, of 2,048 tokens for LLaMA. */
const DEFAULT_SAMPLES = 128;

export interface SamplingOptions {
  /** Windows to draw; 128 from text, all of a source of windows, where it is not given. */
  readonly samples?: number | undefined;
  /** Tokens a window, for text. */
  readonly sequenceLength: number;
  /** A whole number from 0. */
  readonly seed: number;
  /** `reference` draws the very windows of the reference code of Wanda and SparseGPT. */
  readonly sampling: "default" | "reference";
}

export interface Sample {
  readonly windows: Int32Array[];
  /** How they were chosen, in one line, for the record. */
  readonly description: string;
}

/**
 * Calibration windows of token ids.
 *
 * `default`: the documents shuffled (Python's `random.Random(seed).shuffle`), each tokenized with "\n\n" behind it and
 * without special tokens, put one after the other and cut into full windows: no document is used twice.
 *
 * `reference`: as `get_c4` of locuslab/wanda's lib/data.py: `random.seed(seed)`; for each window documents are drawn
 * until one has more than `sequenceLength` tokens, and then a place in it by `randint(0, tokens - sequenceLength - 1)`;
 * documents may come twice, and are tokenized with the special tokens that the tokenizer adds (LLaMA's BOS). For
 * WikiText-2 as `get_wikitext2` there: places in the one text of all rows joined by " ".
 *
 * Throws InputError where there is not enough text.
 */
export function sampleWindows(source: Source, tokenizer: Tokenizer | undefined, options: SamplingOptions): Sample {
  if (source.kind === "windows") {
    const windows = firstWindows(source.windows, options.samples, source.name);
    return { windows, description: `the first ${windows.length} windows as given` };
  }
  const text = requireTokenizer(tokenizer, source.name);
  const samples = options.samples ?? DEFAULT_SAMPLES;
  const { sampling, seed, sequenceLength } = options;
  const plan: Plan = { samples, sequenceLength, seed };
  const what = `${samples} windows of ${sequenceLength} tokens`;
  if (sampling === "default") {
    const windows = shuffledDocuments(source, text, plan);
    return { windows, description: `${what} cut from the documents shuffled with seed ${seed}` };
  }
  if (source.referenceText !== undefined) {
    const ids = text.encode(source.referenceText, { specialTokens: true });
    const windows = placesInText(source.name, ids, plan);
    return { windows, description: `${what} drawn as get_wikitext2 of locuslab/wanda does, seed ${seed}` };
  }
  const windows = placesInDocuments(source, text, plan);
  return { windows, description: `${what} drawn as get_c4 of locuslab/wanda does, seed ${seed}` };
}

interface Plan {
  readonly samples: number;
  readonly sequenceLength: number;
  readonly seed: number;
}

function shuffledDocuments(source: DocumentSource, tokenizer: Tokenizer, plan: Plan): Int32Array[] {
  const { samples, sequenceLength, seed } = plan;
  const order = [...source.documents];
  createMersenneTwister(seed).shuffle(order);
  const ids: number[] = [];
  for (const document of order) {
    if (ids.length >= samples * sequenceLength) break;
    for (const id of tokenizer.encode(document + source.separator, { specialTokens: false })) ids.push(id);
  }
  const windows = consecutiveWindows(Int32Array.from(ids), sequenceLength);
  if (windows.length < samples) {
    throw new InputError(
      `${source.name}: ${ids.length} tokens give ${windows.length} windows of ${sequenceLength}, not ${samples}; ask for fewer or shorter ones, or give more text`,
    );
  }
  return windows.slice(0, samples);
}

function placesInDocuments(source: DocumentSource, tokenizer: Tokenizer, plan: Plan): Int32Array[] {
  const { samples, sequenceLength, seed } = plan;
  const { documents, name } = source;
  const random = createMersenneTwister(seed);
  const short = new Set<number>();

  function drawLongDocument(): Int32Array {
    while (short.size < documents.length) {
      const drawn = random.below(documents.length);
      if (short.has(drawn)) continue;
      const ids = tokenizer.encode(documents[drawn]!, { specialTokens: true });
      if (ids.length > sequenceLength) return ids;
      short.add(drawn);
    }
    throw new InputError(
      `${name}: none of its ${documents.length} documents has more than ${sequenceLength} tokens, as reference sampling needs; ask for shorter windows`,
    );
  }

  return Array.from({ length: samples }, () => {
    const ids = drawLongDocument();
    const start = random.below(ids.length - sequenceLength);
    return ids.slice(start, start + sequenceLength);
  });
}

function placesInText(name: string, ids: Int32Array, { samples, sequenceLength, seed }: Plan): Int32Array[] {
  if (ids.length <= sequenceLength) {
    throw new InputError(
      `${name}: ${ids.length} tokens, but reference sampling needs more than ${sequenceLength}; ask for shorter windows`,
    );
  }
  const random = createMersenneTwister(seed);
  return Array.from({ length: samples }, () => {
    const start = random.below(ids.length - sequenceLength);
    return ids.slice(start, start + sequenceLength);
  });
}
