import fc from "fast-check";
import { expect, it } from "vitest";
import { type Piece, wordDiff } from "./word-diff.js";

const side = (pieces: readonly Piece[], own: Piece["kind"]) =>
  pieces.flatMap(({ kind, text }) => (kind === "same" || kind === own ? text : [])).join("");

it("marks the words that changed, and no others", () => {
  expect(wordDiff("the old river", "the new river")).toEqual([
    { kind: "same", text: "the " },
    { kind: "removed", text: "old" },
    { kind: "added", text: "new" },
    { kind: "same", text: " river" },
  ]);
});

it("finds the longest common subsequence", () => {
  // a c d of "a b c d" and "a c x d"
  expect(
    wordDiff("a b c d", "a c x d").flatMap(({ kind, text }) => (kind === "same" ? text.trim().split(/\s+/) : [])),
  ).toEqual(expect.arrayContaining(["a", "c", "d"]));
});

it("gives both texts back, whatever they are", () => {
  const words = fc
    .array(fc.constantFrom("a", "b", " ", "\n", "é", "漢", ".", "\u202e"), { maxLength: 30 })
    .map((list) => list.join(""));
  fc.assert(
    fc.property(words, words, (before, after) => {
      const pieces = wordDiff(before, after);
      expect(side(pieces, "removed")).toBe(before);
      expect(side(pieces, "added")).toBe(after);
    }),
  );
});

it("compares texts that are too long for a table as wholes", () => {
  const before = "a ".repeat(1200);
  const after = "b ".repeat(1200);
  expect(side(wordDiff(before, after), "removed")).toBe(before);
  expect(side(wordDiff(before, after), "added")).toBe(after);
});
