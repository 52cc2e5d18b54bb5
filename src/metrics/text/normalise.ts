/**
 * SQuAD v1.1's normalisation of answers, with the meaning that its Python has where JavaScript's differs: a word character
 * is a letter or digit of any script, and white space is what `str.split()` takes for it. Lower case needs no care:
 * `toLowerCase` follows the same Unicode rules as `str.lower()`, final sigma included. There is no Unicode normalisation.
 */

/** Python's string.punctuation: the 32 of ASCII. Typographic quotes and dashes are not among them. */
const PUNCTUATION = /[!-/:-@[-`{-~]/g;

/** Python's `\b(a|an|the)\b`; JavaScript's `\b` knows ASCII words only and would find an article in "éa". */
const ARTICLES = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;

/** Python's white space: JavaScript's `\s` has U+FEFF, which this has not, and lacks U+001C to U+001F and U+0085. */
const WHITE_SPACE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are white space to Python
  /[\t-\r\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;

/**
 * The words of an answer without case, punctuation and articles. Punctuation is deleted, not replaced by a space, and goes
 * before the articles: "the-cat" is one word, "(a)" is none.
 * Source: `normalize_answer` of the SQuAD v1.1 evaluation script (Rajpurkar et al. 2016, arXiv 1606.05250).
 */
export function answerWords(text: string): readonly string[] {
  const bare = text.toLowerCase().replace(PUNCTUATION, "").replace(ARTICLES, " ");
  return bare.split(WHITE_SPACE).filter((word) => word !== "");
}
