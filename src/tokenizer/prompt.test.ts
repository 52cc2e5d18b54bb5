import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { oracle } from "../../test/oracles.js";
import { loadChatTemplate } from "./chat-template.js";
import { encodePrompt } from "./prompt.js";
import { loadTokenizer, type Tokenizer } from "./tokenizer.js";

const stories = fileURLToPath(new URL("../../assets/models/stories260K", import.meta.url));
const [BOS, EOS] = [1, 2]; // of stories260K, whose post-processor puts BOS before a text

/** The tokenizer of stories260K with another post-processor. */
async function withAround(single: readonly string[]): Promise<Tokenizer> {
  const folder = mkdtempSync(join(tmpdir(), "pare-prompt-"));
  try {
    const definition = JSON.parse(readFileSync(join(stories, "tokenizer.json"), "utf8"));
    definition.post_processor = {
      type: "TemplateProcessing",
      single: single.map((id) => (id === "A" ? { Sequence: { id } } : { SpecialToken: { id } })),
      special_tokens: {},
    };
    writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(definition));
    writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify({ bos_token: "<s>", eos_token: "</s>" }));
    return (await loadTokenizer(folder))!;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const encode = (tokenizer: Tokenizer, text: string, kind: "plain" | "chat") => {
  const { ids, bos } = encodePrompt(tokenizer, text, kind);
  return { ids: [...ids], bos };
};

it("a plain prompt gets the BOS that the tokenizer adds by itself, once", async () => {
  const tokenizer = (await loadTokenizer(stories))!;
  const bare = [...tokenizer.encode("Once upon", { specialTokens: false })];
  expect(encode(tokenizer, "Once upon", "plain")).toEqual({ ids: [BOS, ...bare], bos: "tokenizer" });
  expect(encode(tokenizer, "", "plain")).toEqual({ ids: [BOS], bos: "tokenizer" });
  const written = [...tokenizer.encode("<s>Once upon", { specialTokens: false })];
  expect(written[0]).toBe(BOS);
  expect(encode(tokenizer, "<s>Once upon", "plain")).toEqual({ ids: written, bos: "template" });
});

it("a chat gets the BOS that its template writes, and no other", async () => {
  const tokenizer = (await loadTokenizer(stories))!;
  for (const text of ["<s>Once upon", "Once upon", ""]) {
    const ids = [...tokenizer.encode(text, { specialTokens: false })];
    expect(encode(tokenizer, text, "chat")).toEqual({ ids, bos: text.startsWith("<s>") ? "template" : "none" });
  }
});

it("a tokenizer that adds no BOS gives none", async () => {
  const tokenizer = await withAround(["A"]);
  const bare = [...tokenizer.encode("Once upon", { specialTokens: false })];
  expect(encode(tokenizer, "Once upon", "plain")).toEqual({ ids: bare, bos: "none" });
});

it("no prompt ends with an EOS that the tokenizer adds", async () => {
  for (const [single, before] of [
    [["A", "</s>"], []],
    [["<s>", "A", "</s>"], [BOS]],
  ] as const) {
    const tokenizer = await withAround(single);
    const bos = before.length ? "tokenizer" : "none";
    for (const text of ["Once upon", "a a a a", ""]) {
      const bare = [...tokenizer.encode(text, { specialTokens: false })];
      expect([...tokenizer.encode(text, { specialTokens: true })]).toEqual([...before, ...bare, EOS]);
      expect(encode(tokenizer, text, "plain")).toEqual({ ids: [...before, ...bare], bos });
    }
    // One that stands in the text stays.
    expect(encode(tokenizer, "a</s>", "plain").ids.at(-1)).toBe(EOS);
  }
});

const folder = process.env["PARE_SMOLLM2"] ?? oracle("models", "SmolLM2-135M-Instruct");
const model = folder && existsSync(join(folder, "tokenizer.json")) ? folder : undefined;
const generation = oracle("oracles", "generation.jsonl");

it.skipIf(!model || !generation)(
  "SmolLM2's prompts are transformers' (needs PARE_ORACLES, and the model's tokenizer there or in PARE_SMOLLM2)",
  async () => {
    const tokenizer = (await loadTokenizer(model!))!;
    const template = (await loadChatTemplate(model!))!;
    const items = readFileSync(generation!, "utf8")
      .trim()
      .split("\n")
      .map(
        (line) =>
          JSON.parse(line) as { task: string; index: number; style: string; prompt: string; prompt_ids: number[] },
      );
    const chats = items.filter(({ style }) => style === "chat");
    expect(chats.length).toBeGreaterThan(100);
    for (const { task, index, style, prompt, prompt_ids } of items) {
      const kind = style === "chat" ? "chat" : "plain";
      const { ids, bos } = encodePrompt(tokenizer, prompt, kind);
      expect([...ids], `${task} ${index} ${style}`).toEqual(prompt_ids);
      expect(bos).toBe(kind === "chat" ? "template" : "none");
      if (kind === "plain") continue;
      // The user's message, between what the template puts around it.
      const before = prompt.indexOf("<|im_start|>user\n") + "<|im_start|>user\n".length;
      const content = prompt.slice(before, prompt.lastIndexOf("<|im_end|>"));
      expect(template.apply([{ role: "user", content }], { addGenerationPrompt: true })).toBe(prompt);
    }
  },
);
