/** A figure of one generated answer. A pure function of texts; means over items and intervals are not its business. */
export interface TextMetric {
  readonly name: string;
  /** One line for `pare list metrics`. */
  readonly summary: string;
  /** The program whose figures these are, with its version. */
  readonly source: string;
  /** Of the figure: 0 to 1, and higher is better. */
  readonly unit: "share";
  /** Whether every score is 0 or 1: such scores are compared by McNemar's test and counted as flips. */
  readonly binary: boolean;
  /** Throws RangeError without any reference: an item without a right answer has no score. */
  score(prediction: string, references: readonly string[]): number;
}

/** Of what `evaluate` gives for each reference, the one with the highest `value`; the first among equals. */
export function best<T>(
  references: readonly string[],
  evaluate: (reference: string) => T,
  value: (result: T) => number,
): T {
  const [first, ...others] = references;
  if (first === undefined) throw new RangeError("a text metric needs at least one reference");
  let found = evaluate(first);
  for (const other of others) {
    const result = evaluate(other);
    if (value(result) > value(found)) found = result;
  }
  return found;
}
