import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { DocumentSource, WindowSource } from "../data/source.js";
import { wikitextArticles } from "../data/wikitext.js";
import { InputError } from "../errors.js";
import { loadTokenizer } from "../tokenizer/tokenizer.js";
import { sampleWindows } from "./sampling.js";

const root = new URL("../../", import.meta.url);
const readJson = (path: string) => JSON.parse(readFileSync(new URL(path, root), "utf8"));
const stories: string[] = readJson("assets/tinystories-excerpt.json");
const tokenizer = await loadTokenizer(fileURLToPath(new URL("assets/models/stories260K", root)));

interface Drawn {
  samples: number;
  seed: number;
  length: number;
  windows: number[][];
}
/** Made by Python with the statements of locuslab/wanda's lib/data.py: see make.py beside it. */
const python: { c4: (Drawn & { documents: number })[]; wikitext2: Drawn; rows: string[] } = readJson(
  "test/fixtures/tokenizer/sampling.json",
);

const source = (documents: string[]): DocumentSource => ({
  kind: "documents",
  name: "stories",
  split: undefined,
  documents,
  separator: "\n\n",
  files: [],
});

describe("reference sampling", () => {
  it.each(python.c4)("draws the windows of get_c4: $documents documents, seed $seed", ({ documents, ...drawn }) => {
    const { samples, seed, length: sequenceLength } = drawn;
    const options = { samples, seed, sequenceLength, sampling: "reference" } as const;
    const { windows } = sampleWindows(source(stories.slice(0, documents)), tokenizer, options);
    expect(windows.map((window) => [...window])).toEqual(drawn.windows);
  });

  it("draws the windows of get_wikitext2", () => {
    const { samples, seed, length: sequenceLength, windows: expected } = python.wikitext2;
    const wikitext = { ...source(wikitextArticles(python.rows)), referenceText: python.rows.join(" ") };
    const { windows } = sampleWindows(wikitext, tokenizer, { samples, seed, sequenceLength, sampling: "reference" });
    expect(windows.map((window) => [...window])).toEqual(expected);
  });

  it("says so where no document is long enough, rather than drawing for ever", () => {
    const options = { samples: 1, seed: 0, sequenceLength: 100_000, sampling: "reference" } as const;
    expect(() => sampleWindows(source(stories), tokenizer, options)).toThrow(/none of its 163 documents/);
    expect(() => sampleWindows(source([]), tokenizer, options)).toThrow(InputError);
    const wikitext = { ...source(["a"]), referenceText: "a" };
    expect(() => sampleWindows(wikitext, tokenizer, options)).toThrow(/more than 100000/);
  });
});

describe("default sampling", () => {
  const options = { samples: 40, seed: 3, sequenceLength: 128, sampling: "default" } as const;

  it("gives full windows, the same for the same seed and others for another", () => {
    const { windows } = sampleWindows(source(stories), tokenizer, options);
    expect(windows.map((window) => window.length)).toEqual(new Array(40).fill(128));
    expect(sampleWindows(source(stories), tokenizer, options).windows).toEqual(windows);
    expect(sampleWindows(source(stories), tokenizer, { ...options, seed: 4 }).windows).not.toEqual(windows);
  });

  it("uses every document once at most, blank lines between", () => {
    const marked = Array.from({ length: 30 }, (_, i) => `(${i}) once upon a time`);
    // As many windows of one token as there are: all of the text.
    const tokens = marked.reduce((sum, d) => sum + tokenizer!.encode(`${d}\n\n`, { specialTokens: false }).length, 0);
    const all = { ...options, samples: tokens, sequenceLength: 1 };
    const { windows } = sampleWindows(source(marked), tokenizer, all);
    const text = tokenizer!.decode(
      windows.map((window) => window[0]!),
      { skipSpecialTokens: false },
    );
    const found = text.split("\n\n").map((part) => part.trim());
    expect(found.slice(0, 30).sort()).toEqual([...marked].sort());
    expect(found.slice(0, 30)).not.toEqual(marked);
    expect(() => sampleWindows(source(marked), tokenizer, { ...all, samples: tokens + 1 })).toThrow(
      `${tokens} windows of 1, not ${tokens + 1}`,
    );
  });

  it("takes 128 windows where no number is asked for", () => {
    const { windows } = sampleWindows(source(stories), tokenizer, { ...options, samples: undefined });
    expect(windows.length).toBe(128);
  });

  it("says so where there is no tokenizer", () => {
    expect(() => sampleWindows(source(stories), undefined, options)).toThrow(/no tokenizer\.json/);
  });
});

it("takes windows of ids as they are, the first ones where a number is given", () => {
  const windows = [Int32Array.of(1, 2), Int32Array.of(3), Int32Array.of(4, 5, 6)];
  const given: WindowSource = { kind: "windows", name: "w.json", split: undefined, windows, files: [] };
  const options = { seed: 0, sequenceLength: 2048, sampling: "default" } as const;
  expect(sampleWindows(given, undefined, options).windows).toEqual(windows);
  expect(sampleWindows(given, undefined, { ...options, samples: 2 }).windows).toEqual(windows.slice(0, 2));
  expect(() => sampleWindows(given, undefined, { ...options, samples: 4 })).toThrow(/has 3 windows, not 4/);
});
