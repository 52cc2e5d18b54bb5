import { expect, test } from "vitest";
import { answerWords } from "./normalise.js";

// Python 3.11: [c for c in range(0x110000) if len(f"x{chr(c)}y".split()) == 2]
const PYTHON_WHITE_SPACE = [
  ...[0x9, 0xa, 0xb, 0xc, 0xd, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x85, 0xa0, 0x1680],
  ...[0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a],
  ...[0x2028, 0x2029, 0x202f, 0x205f, 0x3000],
];
// Python's string.punctuation
const PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

test("of all characters, Python's white space parts words, and its punctuation goes", () => {
  const parting: number[] = [];
  let deleted = "";
  for (let c = 0; c < 0x110000; c++) {
    const words = answerWords(`x${String.fromCodePoint(c)}y`);
    if (words.length === 2) parting.push(c);
    else if (words[0] === "xy") deleted += String.fromCodePoint(c);
  }
  expect(parting).toEqual(PYTHON_WHITE_SPACE);
  expect(deleted).toBe(PUNCTUATION);
});

// Each by Python 3.11: normalize_answer(text).split()
test.each([
  ["The  cat, an ANT; a_b the-cat.", ["cat", "ant", "ab", "thecat"]],
  ["(a) THE an", []],
  ["éa aé a\u0301 𝔞a a𝔞", ["éa", "aé", "\u0301", "𝔞a", "a𝔞"]],
  ["the٣ a１ theの a’ ‘the’", ["the٣", "a１", "theの", "’", "‘", "’"]],
  ["ΟΔΥΣΣΕΥΣ İ ẞ \u212a Σ", ["οδυσσευς", "i\u0307", "ß", "k", "σ"]],
  ["\ud800a \udc00 the\udfff", ["\ud800", "\udc00", "\udfff"]],
])("%j", (text, words) => {
  expect(answerWords(text)).toEqual(words);
});
