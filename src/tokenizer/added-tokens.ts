/** A token that is cut out of the text before anything else sees it, as tokenizer.json's `added_tokens` lists it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Only between non-word characters. */
  readonly singleWord: boolean;
  /** Takes the white space before it, after it, along. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** Looked for in the normalized text, not in the text as given. */
  readonly normalized: boolean;
  readonly special: boolean;
}

/** A stretch of text, or an added token found there. */
export type Section = { readonly text: string; readonly first: boolean } | { readonly id: number };

const WHITE_SPACE = /\p{White_Space}/u;
const WORD = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;

/**
 * Cuts a text at added tokens: the leftmost first, the longest among those that begin at the same place.
 * Follows `AddedVocabulary::find_matches` of huggingface/tokenizers. `first` marks the stretch that begins the text.
 */
export function createSplitter(tokens: readonly { pattern: string; token: AddedToken }[]): (text: string) => Section[] {
  const byFirstUnit = new Map<number, { pattern: string; token: AddedToken }[]>();
  for (const entry of tokens) {
    if (entry.pattern === "") continue;
    const unit = entry.pattern.charCodeAt(0);
    const bucket = byFirstUnit.get(unit);
    if (bucket) bucket.push(entry);
    else byFirstUnit.set(unit, [entry]);
  }
  for (const bucket of byFirstUnit.values()) bucket.sort((a, b) => b.pattern.length - a.pattern.length);

  return (text) => {
    if (byFirstUnit.size === 0) return text === "" ? [] : [{ text, first: true }];
    const sections: Section[] = [];
    let begin = 0;
    for (let i = 0; i < text.length; ) {
      const found = byFirstUnit.get(text.charCodeAt(i))?.find(({ pattern }) => text.startsWith(pattern, i));
      if (!found) {
        i++;
        continue;
      }
      const { pattern, token } = found;
      let start = i;
      let stop = i + pattern.length;
      i = stop;
      if (token.singleWord && (isWord(characterBefore(text, start)) || isWord(characterAt(text, stop)))) continue;
      if (token.lstrip) while (start > begin && WHITE_SPACE.test(text[start - 1]!)) start--;
      if (token.rstrip) while (stop < text.length && WHITE_SPACE.test(text[stop]!)) stop++;
      if (begin < start) sections.push({ text: text.slice(begin, start), first: begin === 0 });
      sections.push({ id: token.id });
      begin = stop;
      i = Math.max(i, stop);
    }
    if (begin < text.length) sections.push({ text: text.slice(begin), first: begin === 0 });
    return sections;
  };
}

const isWord = (character: string): boolean => WORD.test(character);

function characterAt(text: string, index: number): string {
  const point = text.codePointAt(index);
  return point === undefined ? "" : String.fromCodePoint(point);
}

function characterBefore(text: string, index: number): string {
  return index >= 2 && /[\uDC00-\uDFFF]/.test(text[index - 1]!)
    ? text.slice(index - 2, index)
    : text.slice(Math.max(0, index - 1), index);
}
