import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Item } from "../tasks/task.js";
import type { ChatTemplate } from "../tokenizer/chat-template.js";
import { loadTokenizer, type Tokenizer } from "../tokenizer/tokenizer.js";
import { createEncoder, type PromptText } from "./encode.js";

const tokenizer = (await loadTokenizer("assets/models/stories260K"))!;
const plain = (text: string): PromptText => ({ text, kind: "plain" });
const chat = (text: string): PromptText => ({ text, kind: "chat" });
const encoderOf = (options: { maxTokens?: number; tokenizer?: Tokenizer } = {}) =>
  createEncoder({ tokenizer, template: undefined, system: undefined, maxTokens: 512, ...options });

interface Pair {
  readonly context: string;
  readonly continuation: string;
  readonly context_ids: readonly number[];
  readonly continuation_ids: readonly number[];
}
const pairs: readonly Pair[] = JSON.parse(readFileSync("test/fixtures/tasks/pairs.json", "utf8"));

test.each(pairs)("$context and $continuation as lm_eval encodes the pair", (pair) => {
  const { ids, from, truncated } = encoderOf().window(plain(pair.context), pair.continuation);
  expect(ids).toEqual([...pair.context_ids, ...pair.continuation_ids]);
  expect({ from, truncated }).toEqual({ from: pair.context_ids.length, truncated: 0 });
});

describe("what lm_eval's pairs do not show", () => {
  const encode = (text: string) => [...tokenizer.encode(text, { specialTokens: false })];

  test("a continuation that merges with the context's last token: the merged one is scored", () => {
    const [context, whole] = [encode("Once the"), encode("Once there")];
    expect(whole).toHaveLength(context.length);
    expect(whole.at(-1)).not.toBe(context.at(-1));
    expect(encoderOf().window(chat("Once the"), "re")).toEqual({ ids: whole, from: whole.length - 1, truncated: 0 });
  });

  test("a chat template's white space stays with it, and no space is put behind it", () => {
    const { ids, from } = encoderOf().window(chat("assistant\n"), "Once");
    expect(ids).toEqual(encode("assistant\nOnce"));
    expect(from).toBe(encode("assistant\n").length);
  });

  test("an empty context is BOS, by the tokenizer or put there", () => {
    const { bosId } = tokenizer;
    const window = { ids: [bosId, ...encode(" Once")], from: 1, truncated: 0 };
    expect(encoderOf().window(plain(""), "Once")).toEqual(window);
    const bare: Tokenizer = { ...tokenizer, encode: (text) => tokenizer.encode(text, { specialTokens: false }) };
    expect(encoderOf({ tokenizer: bare }).window(plain(""), "Once")).toEqual(window);
    const without = (ids: object) => encoderOf({ tokenizer: { ...bare, bosId: undefined, ...ids } });
    expect(without({ eosId: 2 }).window(plain(""), "Once")).toEqual({ ...window, ids: [2, ...encode(" Once")] });
    expect(() => without({ eosId: undefined }).window(plain(""), "Once")).toThrow("BOS or EOS");
  });

  test("what is too long loses its beginning, and one token always stands before what is scored", () => {
    const whole = encoderOf().window(plain("Once upon a time there was"), "a little girl.");
    const length = whole.ids.length;
    expect(whole.from).toBeGreaterThan(4);
    for (let maxTokens = 2; maxTokens <= length + 1; maxTokens++) {
      const { ids, from, truncated } = encoderOf({ maxTokens }).window(
        plain("Once upon a time there was"),
        "a little girl.",
      );
      expect(ids).toEqual(whole.ids.slice(-maxTokens));
      expect(truncated).toBe(Math.max(0, length - maxTokens));
      expect(from).toBe(Math.max(1, whole.from - truncated));
    }
  });
});

describe("prompts", () => {
  const common = { id: "t/0", index: 0, references: ["x"], record: {} };
  const generate: Item = { ...common, kind: "generate", prompt: "plain", chat: "asked" };
  const choice: Item = {
    ...common,
    kind: "choice",
    prompt: "one",
    chat: "asked",
    contexts: ["one", "two"],
    choices: ["x", "y"],
    gold: 0,
  };
  const template: ChatTemplate = {
    source: "",
    apply: (messages, options) => JSON.stringify([messages, options]),
  };

  test("as plain text: one, or one for each choice", () => {
    expect(encoderOf().prompts(generate)).toEqual([plain("plain")]);
    expect(encoderOf().prompts(choice)).toEqual([plain("one"), plain("two")]);
  });

  test("by a chat template: the system's message, the user's, and the beginning of the answer", () => {
    const user = { role: "user", content: "asked" };
    const text = (...messages: object[]) => chat(JSON.stringify([messages, { addGenerationPrompt: true }]));
    const encoder = createEncoder({ tokenizer, template, system: undefined, maxTokens: 512 });
    expect(encoder.prompts(generate)).toEqual([text(user)]);
    expect(encoder.prompts(choice)).toEqual([text(user), text(user)]);
    const partial: Item = { ...choice, chat: choice.prompt };
    const asked = ["one", "two"].map((content) => text({ role: "user", content }));
    expect(encoder.prompts(partial)).toEqual(asked);
    const briefed = createEncoder({ tokenizer, template, system: "Be brief.", maxTokens: 512 });
    expect(briefed.prompts(generate)).toEqual([text({ role: "system", content: "Be brief." }, user)]);
  });
});
