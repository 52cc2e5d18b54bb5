import { expect, it } from "vitest";
import { pythonFloat, pythonList } from "./python-repr.js";

// Expected texts are what Python 3.11 prints.
it.each([
  [-23.537277221679688, "-23.537277221679688"],
  [-5, "-5.0"],
  [0, "0.0"],
  [0.1, "0.1"],
  [0.0001, "0.0001"],
  [-0.00001234, "-1.234e-05"],
  [1e-7, "1e-07"],
  [1234567890123456, "1234567890123456.0"],
  [1e16, "1e+16"],
  [1.5e-300, "1.5e-300"],
  [Number.NaN, "nan"],
  [Number.NEGATIVE_INFINITY, "-inf"],
  [Number.POSITIVE_INFINITY, "inf"],
])("repr(%d) is %s", (value, text) => {
  expect(pythonFloat(value)).toBe(text);
});

it.each([
  [[], "[]"],
  [["a", "b c"], "['a', 'b c']"],
  [["it's", 'say "x"', `both ' and "`], `["it's", 'say "x"', 'both \\' and "']`],
  [["\\ \n\r\t\u0000\u001b\u007f\u0085\u00a0\u00ad"], "['\\\\ \\n\\r\\t\\x00\\x1b\\x7f\\x85\\xa0\\xad']"],
  [["naïve 猫 😀 \u200b\u2028\ue000\u3000\u{e0001}"], "['naïve 猫 😀 \\u200b\\u2028\\ue000\\u3000\\U000e0001']"],
])("str(%j)", (texts, text) => {
  expect(pythonList(texts)).toBe(text);
});
