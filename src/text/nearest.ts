import { closest, distance } from "fastest-levenshtein";

/** The candidate that a misspelt word most likely meant, or undefined where none is close. For "did you mean". */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  if (candidates.length === 0) return undefined;
  const best = closest(word.toLowerCase(), candidates as string[]);
  const slips = Math.max(2, Math.floor(word.length / 3)); // as many edits as are still a slip of the hand
  return distance(word.toLowerCase(), best) <= slips ? best : undefined;
}
