import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { oracle } from "../../test/oracles.js";
import { loadSource } from "../data/sources.js";
import { loadTokenizer, type Tokenizer } from "./tokenizer.js";

const there = oracle("datasets") !== undefined;
const skipped = there ? "" : " (PARE_ORACLES is not set)";
const read = (...parts: string[]) => readFileSync(oracle(...parts)!, "utf8");

/** Made by Python's tokenizers: see make.py beside it. */
const { models }: { models: Record<string, { folder: string[] } & Record<string, { count: number; sha256: string }>> } =
  JSON.parse(readFileSync(new URL("../../test/fixtures/tokenizer/corpora.json", import.meta.url), "utf8"));

describe.skipIf(!there)(`whole corpora as one text: as Python's tokenizers${skipped}`, () => {
  const corpora = {
    wikitext2: () => read("datasets", "wikitext2-raw", "wiki.test.raw"),
    tinystories: () => (JSON.parse(read("datasets", "tinystories", "tinystories_1000.json")) as string[]).join("\n\n"),
    c4: () =>
      read("datasets", "c4", "c4_demo.jsonl")
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as { text: string }).text)
        .join("\n\n"),
  };
  it.each(Object.keys(models))("%s", async (name) => {
    const { folder, ...expected } = models[name]!;
    const tokenizer = await loadTokenizer(oracle(...folder)!);
    const found = Object.entries(corpora).map(([corpus, text]) => {
      const ids = tokenizer!.encode(text(), { specialTokens: false });
      const bytes = Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength);
      return [corpus, { count: ids.length, sha256: createHash("sha256").update(bytes).digest("hex") }];
    });
    expect(Object.fromEntries(found)).toEqual(expected);
  });
});

async function fromGguf(name: "gpt-2" | "llama-spm"): Promise<Tokenizer> {
  return (await loadTokenizer(oracle("fixtures", "llama.cpp-vocab", `ggml-vocab-${name}.gguf`)!))!;
}

describe.skipIf(!there).each(["gpt-2", "llama-spm"] as const)(`llama.cpp's cases of %s${skipped}`, (name) => {
  it("give llama.cpp's ids", async () => {
    const { encode } = await fromGguf(name);
    const file = `ggml-vocab-${name}.gguf`;
    const texts = read("fixtures", "llama.cpp-vocab", `${file}.inp`).split("\n__ggml_vocab_test__\n");
    const expected = read("fixtures", "llama.cpp-vocab", `${file}.out`).split("\n").slice(0, texts.length);
    expect(texts.map((text) => [...encode(text, { specialTokens: false })].join(" "))).toEqual(
      expected.map((line) => line.trim()),
    );
  });
});

describe.skipIf(!there).each([
  ["Xenova/gpt2", "gpt-2"],
  ["Xenova/llama-tokenizer", "llama-spm"],
] as const)(`Hugging Face's cases of %s${skipped}`, (model, name) => {
  it("give its ids", async () => {
    const { encode } = await fromGguf(name);
    const cases = JSON.parse(read("fixtures", "hf-tokenizers", "expected_encodings.json")).models[model];
    for (const { text, ids } of Object.values<{ text: string; ids: number[] }>(cases)) {
      expect([...encode(text, { specialTokens: true })]).toEqual(ids);
    }
  });
});

describe.skipIf(!there)(`WikiText-2's test split${skipped}`, () => {
  // As transformers warns in the field's logs: "(287644 > 1024)" for GPT-2, "(341469 > 4096)" with BOS for LLaMA 2.
  it.each([
    ["gpt-2", 287_644],
    ["llama-spm", 341_469],
  ] as const)("has the tokens that everyone counts: %s", async (name, count) => {
    const source = await loadSource("wikitext2", { purpose: "evaluation", dataDirectory: oracle("datasets") });
    if (source.kind !== "documents") throw new Error("windows");
    const { encode } = await fromGguf(name);
    expect(encode(source.documents.join(source.separator), { specialTokens: true }).length).toBe(count);
  });
});
