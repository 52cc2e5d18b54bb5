import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { InputError } from "../errors.js";
import { loadTokenizer, type Tokenizer } from "./tokenizer.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const stories = join(root, "assets/models/stories260K");
const readJson = (path: string) => JSON.parse(readFileSync(path, "utf8"));

interface Expected {
  ids: number[];
  special: number[];
  decoded: string;
  skipped: string;
}

/** Made by Python's tokenizers: see make.py beside it. */
const cases: {
  model: object;
  variants: Record<string, { model?: object }>;
  texts: string[];
  expected: Record<string, Expected[]>;
} = readJson(join(root, "test/fixtures/tokenizer/cases.json"));

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

function folderWith(files: Record<string, unknown>): string {
  const folder = mkdtempSync(join(tmpdir(), "pare-tokenizer-"));
  folders.push(folder);
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, name), typeof content === "string" ? content : JSON.stringify(content));
  }
  return folder;
}

async function load(files: Record<string, unknown>): Promise<Tokenizer> {
  const tokenizer = await loadTokenizer(folderWith(files));
  if (!tokenizer) throw new Error("no tokenizer.json");
  return tokenizer;
}

/** A definition of cases.json, with the vocabulary that it leaves out. */
function definitionOf(variant: string): { model: Record<string, unknown> } & Record<string, unknown> {
  const definition = cases.variants[variant]!;
  const model = definition.model
    ? { ...cases.model, ...definition.model }
    : readJson(join(stories, "tokenizer.json")).model;
  return { ...definition, model };
}

describe.each(Object.keys(cases.variants))("%s: as Python's tokenizers", (variant) => {
  const expected = cases.expected[variant]!;
  const tokenizer = load({ "tokenizer.json": definitionOf(variant) });

  it("encodes", async () => {
    const { encode } = await tokenizer;
    expect(cases.texts.map((text) => [...encode(text, { specialTokens: false })])).toEqual(expected.map((e) => e.ids));
  });

  it("puts special tokens around", async () => {
    const { encode } = await tokenizer;
    expect(cases.texts.map((text) => [...encode(text, { specialTokens: true })])).toEqual(
      expected.map((e) => e.special),
    );
  });

  it("decodes", async () => {
    const { decode } = await tokenizer;
    expect(expected.map((e) => decode(e.ids, { skipSpecialTokens: false }))).toEqual(expected.map((e) => e.decoded));
    expect(expected.map((e) => decode(e.special, { skipSpecialTokens: true }))).toEqual(expected.map((e) => e.skipped));
  });
});

describe("a byte-level vocabulary", () => {
  const tokenizer = load({ "tokenizer.json": definitionOf("gpt2") });

  it("shows what each token stands for, and bytes that are no whole character as such", async () => {
    const { encode, tokenText } = await tokenizer;
    expect([...encode(" the 😀é", { specialTokens: false })].map(tokenText)).toEqual([
      " the",
      " ",
      "<0xF0>",
      "<0x9F>",
      "<0x98>",
      "<0x80>",
      "<0xC3>",
      "<0xA9>",
    ]);
    expect(tokenText(640)).toBe("<|endoftext|>");
    expect(tokenText(641)).toBe("<641>");
  });

  it("reads half of a surrogate pair as U+FFFD, as UTF-8 must", async () => {
    const { encode } = await tokenizer;
    expect(encode("a\ud800b", { specialTokens: false })).toEqual(encode("a\ufffdb", { specialTokens: false }));
  });
});

describe("a LLaMA vocabulary", () => {
  it("has the special tokens that tokenizer_config.json names", async () => {
    const tokenizer = await loadTokenizer(stories);
    expect([tokenizer?.bosId, tokenizer?.eosId, tokenizer?.vocabularySize]).toEqual([1, 2, 512]);
  });

  it("takes special tokens as objects, and from special_tokens_map.json", async () => {
    const definition = definitionOf("llama");
    const tokenizer = await load({
      "tokenizer.json": definition,
      "tokenizer_config.json": { bos_token: { content: "<s>" }, eos_token: null },
      "special_tokens_map.json": { eos_token: { content: "</s>" } },
    });
    expect([tokenizer.bosId, tokenizer.eosId]).toEqual([1, 2]);
    const without = await load({ "tokenizer.json": definition });
    expect([without.bosId, without.eosId]).toEqual([undefined, undefined]);
  });

  it("shows tokens with their spaces, and bytes", async () => {
    const tokenizer = await loadTokenizer(stories);
    const ids = [...(tokenizer?.encode("the 😀", { specialTokens: true }) ?? [])];
    expect(ids.map((id) => tokenizer?.tokenText(id))).toEqual([
      "<s>",
      " the",
      " ",
      "<0xF0>",
      "<0x9F>",
      "<0x98>",
      "<0x80>",
    ]);
  });

  it("decodes ids outside the vocabulary to nothing", async () => {
    const tokenizer = await loadTokenizer(stories);
    expect(tokenizer?.decode([1, 99_999, -1], { skipSpecialTokens: true })).toBe("");
  });

  it("does not slow down with the length of a text: 4 million characters that are one word", async () => {
    const tokenizer = await loadTokenizer(stories);
    const ids = tokenizer?.encode("abcdefgh".repeat(500_000), { specialTokens: false });
    const few = tokenizer?.encode("abcdefgh".repeat(5), { specialTokens: false });
    expect(tokenizer?.decode(ids ?? [], { skipSpecialTokens: false }).length).toBe(4_000_000);
    expect(ids?.length).toBeGreaterThan(90_000 * (few?.length ?? 0));
  }, 30_000);
});

describe("a folder", () => {
  it("without tokenizer.json has no tokenizer", async () => {
    expect(await loadTokenizer(folderWith({}))).toBeUndefined();
  });

  const right = definitionOf("llama");
  it.each<[string, unknown, RegExp]>([
    ["no JSON", "{", /tokenizer\.json: no JSON/],
    ["a list", [], /tokenizer\.json: the file: /],
    ["no model", { ...right, model: undefined }, /model/],
    ["an id that is no number", { ...right, model: { ...right.model, vocab: { a: "1" } } }, /model\.vocab/],
    ["an id that is negative", { ...right, model: { ...right.model, vocab: { a: -1 } } }, /model\.vocab\.a/],
    ["an id beyond any vocabulary", { ...right, added_tokens: [{ id: 2 ** 40, content: "x" }] }, /added_tokens\.0\.id/],
    ["a merge of unknown tokens", { ...right, model: { ...right.model, merges: ["q zzz"] } }, /merge 0 .*"zzz"/],
    ["a merge that is no pair", { ...right, model: { ...right.model, merges: ["abc"] } }, /merge 0/],
    ["an unknown normalizer", { ...right, normalizer: { type: "Rot13" } }, /Rot13/],
    ["an unknown pre-tokenizer", { ...right, pre_tokenizer: { type: "Rot13" } }, /Rot13/],
    ["an unknown decoder", { ...right, decoder: { type: "Rot13" } }, /Rot13/],
    ["an unknown post-processor", { ...right, post_processor: { type: "Rot13" } }, /Rot13/],
    [
      "a template with an unknown token",
      { ...right, post_processor: { type: "TemplateProcessing", single: [{ SpecialToken: { id: "<x>" } }] } },
      /<x>/,
    ],
    [
      "a broken regular expression",
      { ...right, pre_tokenizer: { type: "Split", pattern: { Regex: "(" }, behavior: "Isolated" } },
      /regular expression|Regex|group/i,
    ],
    [
      "a split that is unknown",
      { ...right, pre_tokenizer: { type: "Split", pattern: { Regex: "a" }, behavior: "Sideways" } },
      /Sideways/,
    ],
  ])("with %s is refused by name", async (_, definition, message) => {
    const folder = folderWith({ "tokenizer.json": definition });
    await expect(loadTokenizer(folder)).rejects.toThrow(InputError);
    await expect(loadTokenizer(folder)).rejects.toThrow(message);
  });
});
