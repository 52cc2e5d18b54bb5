/** How often each word occurs. A Map: words such as "constructor" must find nothing but themselves. */
function countWords(words: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

/** Words that both lists have in common, each as often as in the list that has it less often. */
export function overlap(a: readonly string[], b: readonly string[]): number {
  const left = countWords(a);
  let common = 0;
  for (const word of b) {
    const count = left.get(word) ?? 0;
    if (count === 0) continue;
    left.set(word, count - 1);
    common++;
  }
  return common;
}

/** Harmonic mean of precision and recall, 0 where both are 0; in the order of operations that SQuAD's script and rouge_score have. */
export function harmonicMean(precision: number, recall: number): number {
  return precision + recall > 0 ? (2 * precision * recall) / (precision + recall) : 0;
}
