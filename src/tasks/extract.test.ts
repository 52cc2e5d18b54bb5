import { expect, test } from "vitest";
import { extractAnswer } from "./extract.js";

test.each([
  ["whole", " \n Paris,\nof course. \n", "Paris,\nof course."],
  ["first-line", "\n\n  Paris, \n\nQuestion: next", "Paris,"],
  ["first-line", "", ""],
  ["first-word", " park. They lived", "park."],
  ["first-word", "\n\nend", "end"],
  ["first-word", " ", ""],
] as const)("%s of %j", (answer, text, expected) => {
  expect(extractAnswer(text, answer)).toBe(expected);
});

// What lm-evaluation-harness's RegexFilter and the ignored patterns of its gsm8k give in Python:
// findall(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")[-1], search(r"#### (\-?[0-9\.\,]+)"); then without ",", "$" and a last ".".
test.each([
  ["She sells 9 eggs for $2, which makes $18.", "18", "[invalid]"],
  ["9 * 2 = 18\n#### 18", "18", "18"],
  ["#### 1,234.50\nQuestion 7", "7", "1234.50"],
  ["It is -5", "-5", "[invalid]"],
  ["so 3 apples, 4 pears...", "..", "[invalid]"],
  ["no number", "[invalid]", "[invalid]"],
  ["#### $20", "20", "[invalid]"],
])("numbers of %j", (text, flexible, strict) => {
  expect(extractAnswer(text, "last-number")).toBe(flexible);
  expect(extractAnswer(text, "marked-number")).toBe(strict);
});
