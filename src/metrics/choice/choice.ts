/** A multiple-choice item as a model sees it. */
export interface ChoiceItem {
  /** Summed log-likelihood of each choice after the context, nats. */
  readonly logLikelihoods: readonly number[];
  /** The choices' own texts, without the space that stands before each in the prompt. */
  readonly choices: readonly string[];
  /** Index of the right choice, or of each right one. */
  readonly gold: number | readonly number[];
}

/** What a model chooses by log-likelihood, and by log-likelihood per character and per UTF-8 byte of the choice. */
export interface ChoiceScores {
  readonly perCharacter: readonly number[];
  readonly perByte: readonly number[];
  /** Index of the highest, the first among equals; null where every figure is NaN. */
  readonly chosen: number | null;
  readonly chosenNorm: number | null;
  readonly chosenBytes: number | null;
  /** 1 where the chosen one is right, else 0. */
  readonly acc: 0 | 1;
  readonly accNorm: 0 | 1;
  readonly accBytes: 0 | 1;
}

/**
 * Scores a multiple-choice item. Characters are Unicode code points, as Python counts them. A choice without text has no
 * length: divided by 0 its log-likelihood is -Infinity (NaN if it was 0), and another is chosen. NaN is never chosen, so
 * that a broken model is not right by chance; there lm-evaluation-harness differs, numpy's argmax takes the first NaN.
 * Throws RangeError where the lengths differ or `gold` names no choice.
 * Source: lm-evaluation-harness 0.4.13, `multiple_choice` (`acc`, `acc_norm`, `acc_bytes`).
 */
export function scoreChoices({ logLikelihoods, choices, gold }: ChoiceItem): ChoiceScores {
  if (logLikelihoods.length !== choices.length)
    throw new RangeError(`${logLikelihoods.length} log-likelihoods for ${choices.length} choices`);
  const right = typeof gold === "number" ? [gold] : gold;
  if (right.length === 0 || right.some((index) => choices[index] === undefined))
    throw new RangeError(`gold ${JSON.stringify(gold)} is not among ${choices.length} choices`);

  const perCharacter = perUnit(logLikelihoods, choices, codePoints);
  const perByte = perUnit(logLikelihoods, choices, utf8Bytes);
  const chosen = argmax(logLikelihoods);
  const chosenNorm = argmax(perCharacter);
  const chosenBytes = argmax(perByte);
  const accuracy = (index: number | null) => (index !== null && right.includes(index) ? 1 : 0);
  return {
    perCharacter,
    perByte,
    chosen,
    chosenNorm,
    chosenBytes,
    acc: accuracy(chosen),
    accNorm: accuracy(chosenNorm),
    accBytes: accuracy(chosenBytes),
  };
}

/** Code points of a text, what Python's `len` counts. */
function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

function utf8Bytes(text: string): number {
  return Buffer.byteLength(text, "utf8");
}

function perUnit(sums: readonly number[], choices: readonly string[], lengthOf: (text: string) => number): number[] {
  return sums.map((sum, i) => sum / lengthOf(choices[i]!));
}

/** Index of the largest, the first among equals; NaN is passed over, null where nothing else is there. */
function argmax(values: readonly number[]): number | null {
  let found: number | null = null;
  values.forEach((value, i) => {
    if (!Number.isNaN(value) && (found === null || value > values[found]!)) found = i;
  });
  return found;
}
