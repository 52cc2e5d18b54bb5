import { InputError } from "../errors.js";
import { CONTINUATION_SEPARATOR, type Item } from "../tasks/task.js";
import { strip } from "../text/python-text.js";
import type { ChatTemplate } from "../tokenizer/chat-template.js";
import { type EncodedPrompt, encodePrompt } from "../tokenizer/prompt.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";

/** How items become token ids. */
export interface Encoder {
  /** What the model reads of an item before it answers; for choice tasks, one for each choice. */
  prompts(item: Item): readonly PromptText[];
  encode(prompt: PromptText): EncodedPrompt;
  /**
   * A prompt and a text that follows it, encoded as one text: what follows the prompt's own tokens is the continuation, and at
   * least the last token. White space at the prompt's end belongs to the continuation, as in lm-evaluation-harness 0.4.13
   * (`_encode_pair`); that of a chat template does not, since no model has to find it.
   */
  window(prompt: PromptText, continuation: string): Continuation;
}

export interface PromptText {
  readonly text: string;
  readonly kind: "plain" | "chat";
}

/** Ids of which those from `from` on are the continuation; at least one stands before. */
export interface Continuation {
  readonly ids: readonly number[];
  readonly from: number;
  /** Tokens cut off the beginning, because the model takes no more. */
  readonly truncated: number;
}

export interface EncoderOptions {
  readonly tokenizer: Tokenizer;
  /** Without one, prompts are plain text. */
  readonly template: ChatTemplate | undefined;
  readonly system: string | undefined;
  readonly maxTokens: number;
}

export function createEncoder({ tokenizer, template, system, maxTokens }: EncoderOptions): Encoder {
  const asChat = (content: string): PromptText => {
    const messages = [
      ...(system === undefined ? [] : [{ role: "system" as const, content: system }]),
      { role: "user" as const, content },
    ];
    return { text: template!.apply(messages, { addGenerationPrompt: true }), kind: "chat" };
  };
  const encode = ({ text, kind }: PromptText) => encodePrompt(tokenizer, text, kind);
  return {
    prompts(item) {
      if (template) {
        if (item.kind === "generate") return [asChat(item.chat)];
        // A task without a chat_prompt asks by its contexts, which differ in tasks of partial evaluation.
        return item.contexts.map((context) => asChat(item.chat === item.prompt ? context : item.chat));
      }
      const texts = item.kind === "generate" ? [item.prompt] : item.contexts;
      return texts.map((text) => ({ text, kind: "plain" }));
    },
    encode,
    window(prompt, continuation) {
      const separator = prompt.kind === "chat" ? "" : CONTINUATION_SEPARATOR;
      const context = prompt.kind === "chat" ? prompt.text : strip(prompt.text, "right");
      const whole = encode({ ...prompt, text: prompt.text + separator + continuation }).ids;
      return cutWindow(whole, encode({ ...prompt, text: context }).ids.length, maxTokens, tokenizer);
    },
  };
}

/** Puts a token before a continuation that has none, and cuts off the beginning of what is too long for the model. */
function cutWindow(whole: Int32Array, context: number, maxTokens: number, tokenizer: Tokenizer): Continuation {
  let ids = [...whole];
  let from = Math.min(context, whole.length - 1);
  if (from < 1) {
    const first = tokenizer.bosId ?? tokenizer.eosId;
    if (first === undefined) throw new InputError("an empty context needs a tokenizer with a BOS or EOS token");
    ids = [first, ...ids];
    from++;
  }
  const truncated = Math.max(0, ids.length - maxTokens);
  return { ids: ids.slice(truncated), from: Math.max(1, from - truncated), truncated };
}
