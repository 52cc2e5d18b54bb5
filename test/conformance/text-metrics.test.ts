import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { textMetrics } from "../../src/metrics/text/registry.js";

/**
 * Metrics that look at one reference and not at the best: the strict exact match at the first, ROUGE's precision and recall
 * at that with the best F-measure (whose own precision may be lower, and which is the first among equals).
 */
const OF_ONE_REFERENCE = /^exact_match_strict$|_(precision|recall)$/;

/** Texts of any code units, lone surrogates among them, and of what the metrics treat apart. */
const text = fc.oneof(
  fc.string({ unit: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)), maxLength: 30 }),
  fc.string({ unit: "binary", maxLength: 30 }),
  fc
    .array(
      fc.constantFrom(
        ...["the", "a", "An", "cat", "cats", "CAT", "dog", "running", "relational", "é", "İ", "ΑΣ", "東京", "😀", "42"],
        ...["constructor", "__proto__", "\u0301", "\ud83d", "\udc00", ".", ",", "-", "_", "’", " ", "\u001c", "\ufeff"],
      ),
      { maxLength: 12 },
    )
    .chain((parts) => fc.constantFrom("", " ", "  ").map((between) => parts.join(between))),
);
const references = fc.array(text, { minLength: 1, maxLength: 4 });

/** Characters of a long text: more than a model's longest answers. */
const LONG = 100_000;
const long: Readonly<Record<string, string>> = {
  "one letter": "a".repeat(LONG),
  "the letter y": "y".repeat(LONG),
  articles: "the ".repeat(LONG / 4),
  "articles in one word": "the".repeat(LONG / 3),
  "one token and a suffix": `${"relationalli".repeat(LONG / 12)}ing`,
  "white space": " ".repeat(LONG),
  "white space of both sorts": "\u001c\ufeff".repeat(LONG / 2),
  punctuation: ".-_".repeat(LONG / 3),
  "words, all different": Array.from({ length: LONG / 6 }, (_, i) => `w${i}`).join(" "),
  "lone surrogates": "\udc00\ud800".repeat(LONG / 2),
  "combining marks": `a${"\u0301".repeat(LONG)}`,
  "capital sigmas": "Σ’".repeat(LONG / 2),
  emoji: "👩‍👩‍👧".repeat(LONG / 8),
};

describe.each(textMetrics)("$name", ({ binary, score }) => {
  test("is a number from 0 to 1 for any texts, and 0 or 1 where it says so", () => {
    fc.assert(
      fc.property(text, references, (prediction, expected) => {
        const value = score(prediction, expected);
        expect(value).toBeGreaterThanOrEqual(0);
        expect(value).toBeLessThanOrEqual(1);
        if (binary) expect([0, 1]).toContain(value);
      }),
      { numRuns: 500 },
    );
  });

  test("is 1 for the reference's own words", () => {
    fc.assert(
      fc.property(text, references, (words, others) => {
        const answer = `${words} cat`;
        expect(score(answer, [answer, ...others])).toBe(1);
      }),
    );
  });

  test("is 0 for words of which no reference has any", () => {
    fc.assert(
      fc.property(references, (expected) => {
        fc.pre(expected.every((reference) => !reference.toLowerCase().includes("zebra")));
        expect(score("zebra", expected)).toBe(0);
      }),
    );
  });

  test("is the same for a reference that is there twice", () => {
    fc.assert(
      fc.property(text, references, (prediction, expected) => {
        expect(score(prediction, [...expected, ...expected])).toBe(score(prediction, expected));
      }),
    );
  });

  test("refuses an item without a reference", () => {
    expect(() => score("cat", [])).toThrow(RangeError);
  });

  test.each(Object.keys(long))(`takes linear time for ${LONG} characters: %s`, (kind) => {
    const value = long[kind]!;
    const start = performance.now();
    const scores = [score(value, [value]), score(value, ["cat", `${value} cat`]), score("cat", [value])];
    expect(performance.now() - start).toBeLessThan(2000); // linear: milliseconds
    for (const each of scores) expect(each >= 0 && each <= 1).toBe(true);
  });
});

describe.each(textMetrics.filter(({ name }) => !OF_ONE_REFERENCE.test(name)))(
  "$name, of the best reference,",
  ({ score }) => {
    test("never falls by another reference, wherever it stands", () => {
      fc.assert(
        fc.property(text, references, text, (prediction, expected, another) => {
          const before = score(prediction, expected);
          expect(score(prediction, [...expected, another])).toBeGreaterThanOrEqual(before);
          expect(score(prediction, [another, ...expected])).toBeGreaterThanOrEqual(before);
        }),
        { numRuns: 500 },
      );
    });

    test("is the same for the references in another order", () => {
      fc.assert(
        fc.property(text, references, (prediction, expected) => {
          expect(score(prediction, [...expected].reverse())).toBe(score(prediction, expected));
        }),
        { numRuns: 500 },
      );
    });
  },
);
