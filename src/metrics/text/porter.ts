/**
 * Porter's stemmer (M. F. Porter, "An algorithm for suffix stripping", Program 14.3, 1980) with the changes that NLTK's
 * PorterStemmer makes by default and that ROUGE figures therefore hold. The changes are marked "NLTK".
 */

/** NLTK: words whose stem is looked up. */
const IRREGULAR: ReadonlyMap<string, string> = new Map([
  ["skies", "sky"],
  ["sky", "sky"],
  ["dying", "die"],
  ["lying", "lie"],
  ["tying", "tie"],
  ["news", "news"],
  ["innings", "inning"],
  ["inning", "inning"],
  ["outings", "outing"],
  ["outing", "outing"],
  ["cannings", "canning"],
  ["canning", "canning"],
  ["howe", "howe"],
  ["proceed", "proceed"],
  ["exceed", "exceed"],
  ["succeed", "succeed"],
]);

/** Whether each letter is a consonant: all but a, e, i, o, u and a y after a consonant. Digits count as consonants. */
function consonants(word: string): readonly boolean[] {
  const flags: boolean[] = [];
  let before = false;
  for (let i = 0; i < word.length; i++) {
    const letter = word[i]!;
    before = letter === "y" ? !before : !"aeiou".includes(letter);
    flags.push(before);
  }
  return flags;
}

/** Porter's m: how often a vowel is followed by a consonant. */
function measure(stem: string): number {
  const flags = consonants(stem);
  let m = 0;
  for (let i = 1; i < flags.length; i++) if (flags[i] && !flags[i - 1]) m++;
  return m;
}

/** Porter's *v*. */
const hasVowel = (stem: string) => consonants(stem).includes(false);

/** Porter's *d. */
function endsInDoubleConsonant(word: string): boolean {
  return word.length >= 2 && word.at(-1) === word.at(-2) && consonants(word).at(-1) === true;
}

/** Porter's *o: consonant, vowel, and a consonant other than w, x or y. NLTK: or the whole of it is a vowel and a consonant. */
function endsInShortSyllable(word: string): boolean {
  const flags = consonants(word);
  if (word.length < 2 || !flags.at(-1) || flags.at(-2)) return false;
  return word.length === 2 || (flags.at(-3) === true && !"wxy".includes(word.at(-1)!));
}

type Rule = readonly [suffix: string, replacement: string];

/** Applies the first rule whose suffix the word has, if the stem before it is fit; no later rule is tried. */
function replaceSuffix(word: string, rules: readonly Rule[], fits: (stem: string, suffix: string) => boolean): string {
  const rule = rules.find(([suffix]) => word.endsWith(suffix));
  if (!rule) return word;
  const [suffix, replacement] = rule;
  const stem = word.slice(0, word.length - suffix.length);
  return fits(stem, suffix) ? stem + replacement : word;
}

/** Plurals. NLTK: four-letter words in -ies keep the e. */
function step1a(word: string): string {
  if (word.endsWith("ies")) return word.slice(0, word.length === 4 ? -1 : -2);
  if (word.endsWith("sses")) return word.slice(0, -2);
  return word.endsWith("s") && !word.endsWith("ss") ? word.slice(0, -1) : word;
}

/** -eed, -ed and -ing. NLTK: -ied becomes -i, and -ie in four-letter words. */
function step1b(word: string): string {
  if (word.endsWith("ied")) return word.slice(0, word.length === 4 ? -1 : -2);
  if (word.endsWith("eed")) return measure(word.slice(0, -3)) > 0 ? word.slice(0, -1) : word;
  const suffix = ["ed", "ing"].find((ending) => word.endsWith(ending));
  if (!suffix) return word;
  const stem = word.slice(0, -suffix.length);
  return hasVowel(stem) ? repairEnd(stem) : word;
}

/** What remains without -ed or -ing gets an e back, or loses one of two like consonants: hop(p)ing, fil(e)ing. */
function repairEnd(stem: string): string {
  if (["at", "bl", "iz"].some((ending) => stem.endsWith(ending))) return `${stem}e`;
  if (endsInDoubleConsonant(stem)) return "lsz".includes(stem.at(-1)!) ? stem : stem.slice(0, -1);
  return measure(stem) === 1 && endsInShortSyllable(stem) ? `${stem}e` : stem;
}

/** NLTK: y becomes i after a consonant that is not the word's first letter. */
function step1c(word: string): string {
  const stem = word.slice(0, -1);
  return word.endsWith("y") && stem.length > 1 && consonants(stem).at(-1) ? `${stem}i` : word;
}

const STEP_2: readonly Rule[] = [
  ["ational", "ate"],
  ["tional", "tion"],
  ["enci", "ence"],
  ["anci", "ance"],
  ["izer", "ize"],
  ["bli", "ble"], // NLTK, after Porter's own later version: abli in the paper
  ["entli", "ent"],
  ["eli", "e"],
  ["ousli", "ous"],
  ["ization", "ize"],
  ["ation", "ate"],
  ["ator", "ate"],
  ["alism", "al"],
  ["iveness", "ive"],
  ["fulness", "ful"],
  ["ousness", "ous"],
  ["aliti", "al"],
  ["iviti", "ive"],
  ["biliti", "ble"],
  ["fulli", "ful"], // NLTK
  ["logi", "log"], // NLTK
];

/** Double suffixes. NLTK: -alli goes first and what it leaves is looked at again; the l of -logi counts for the stem. */
function step2(word: string): string {
  if (word.endsWith("alli")) return measure(word.slice(0, -4)) > 0 ? step2(word.slice(0, -2)) : word;
  return replaceSuffix(word, STEP_2, (stem, suffix) => measure(suffix === "logi" ? `${stem}l` : stem) > 0);
}

const STEP_3: readonly Rule[] = [
  ["icate", "ic"],
  ["ative", ""],
  ["alize", "al"],
  ["iciti", "ic"],
  ["ical", "ic"],
  ["ful", ""],
  ["ness", ""],
];

/** Each is tried before the shorter ones that it ends in: -ement, -ment, -ent. */
const STEP_4: readonly Rule[] = [
  ...["al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion"],
  ...["ou", "ism", "ate", "iti", "ous", "ive", "ize"],
].map((suffix) => [suffix, ""]);

/** Single suffixes of longer words; -ion only after s or t. */
function step4(word: string): string {
  return replaceSuffix(word, STEP_4, (stem, suffix) => measure(stem) > 1 && (suffix !== "ion" || /[st]$/.test(stem)));
}

/** A final e goes after a longer stem. */
function step5a(word: string): string {
  if (!word.endsWith("e")) return word;
  const stem = word.slice(0, -1);
  const m = measure(stem);
  return m > 1 || (m === 1 && !endsInShortSyllable(stem)) ? stem : word;
}

/** A final ll becomes l. */
function step5b(word: string): string {
  return word.endsWith("ll") && measure(word.slice(0, -1)) > 1 ? word.slice(0, -1) : word;
}

/** The stem of a word of a-z and 0-9, as NLTK 3.10's `PorterStemmer().stem` gives it. */
export function porterStem(word: string): string {
  const irregular = IRREGULAR.get(word);
  if (irregular !== undefined) return irregular;
  if (word.length <= 2) return word;
  const inflected = step1c(step1b(step1a(word)));
  const bare = replaceSuffix(step2(inflected), STEP_3, (stem) => measure(stem) > 0);
  return step5b(step5a(step4(bare)));
}
