/**
 * SentencePiece's scores as merges, best first: every way to make a token of two others has the token's score. Follows
 * generate_merges of transformers' convert_slow_tokenizer.py, ties included.
 */
export function makeMerges(ids: ReadonlyMap<string, number>, scores: readonly number[]): [string, string][] {
  interface Merge {
    readonly left: string;
    readonly right: string;
    readonly score: number;
    readonly leftLength: number;
    readonly rightLength: number;
  }
  const merges: Merge[] = [];
  for (const [token, id] of ids) {
    const characters = Array.from(token);
    const own: Merge[] = [];
    let left = "";
    for (let i = 0; i + 1 < characters.length; i++) {
      left += characters[i]!;
      const right = token.slice(left.length);
      if (!ids.has(left) || !ids.has(right)) continue;
      own.push({ left, right, score: scores[id]!, leftLength: i + 1, rightLength: characters.length - i - 1 });
    }
    own.sort((a, b) => ids.get(a.left)! - ids.get(b.left)! || ids.get(a.right)! - ids.get(b.right)!);
    for (const merge of own) merges.push(merge);
  }
  merges.sort((a, b) => b.score - a.score || b.leftLength - a.leftLength || b.rightLength - a.rightLength);
  return merges.map(({ left, right }) => [left, right]);
}
