import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { oracle } from "../../../test/oracles.js";
import { porterStem } from "./porter.js";

/** Checks a file of `word<TAB>stem` lines, and names the words that differ. */
function expectStems(path: string | URL, count: number): void {
  const pairs = readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => line.split("\t"));
  expect(pairs).toHaveLength(count);
  expect(pairs.map(([word]) => [word, porterStem(word!)])).toEqual(pairs);
}

test("400 words as NLTK 3.10.4 stems them", () => {
  expectStems(new URL("../../../test/fixtures/metrics/porter.tsv", import.meta.url), 400);
});

const file = oracle("oracles", "porter.tsv");

test.skipIf(!file)(`5,000 words as NLTK 3.10.4 stems them${file ? "" : " (PARE_ORACLES is not set)"}`, () => {
  expectStems(file!, 5000);
});

// Examples of Porter 1980, and of what NLTK 3.10.4 changes.
test.each([
  ["caresses", "caress"],
  ["ponies", "poni"],
  ["plastered", "plaster"],
  ["motoring", "motor"],
  ["sing", "sing"],
  ["hopping", "hop"],
  ["falling", "fall"],
  ["hissing", "hiss"],
  ["fizzed", "fizz"],
  ["filing", "file"],
  ["generalizations", "gener"],
  ["oscillators", "oscil"],
  ["flies", "fli"],
  ["dies", "die"],
  ["spied", "spi"],
  ["died", "die"],
  ["spy", "spi"],
  ["enjoy", "enjoy"],
  ["geology", "geolog"],
  ["conditionally", "condit"],
  ["bying", "by"],
])("%s: %s", (word, stem) => {
  expect(porterStem(word)).toBe(stem);
});
