import type { Tokenizer } from "./tokenizer.js";

/** The token ids of a prompt, and who wrote the BOS token that they begin with. */
export interface EncodedPrompt {
  readonly ids: Int32Array;
  /** `template`: it stands in the text. `tokenizer`: the post-processor of tokenizer.json put it there. */
  readonly bos: "template" | "tokenizer" | "none";
}

/**
 * Encodes a prompt so that the model reads BOS at most once.
 *
 * `chat`, text of a chat template: nothing is added, as in transformers' apply_chat_template: the template alone says what the
 * model reads. `plain`: the tokenizer adds what it adds by itself, unless the text begins with BOS, as in
 * lm-evaluation-harness 0.4.13 (hf, no add_bos_token). Unlike there, an EOS that the tokenizer puts after the text is
 * left out: what follows EOS is a new document, not an answer.
 */
export function encodePrompt(tokenizer: Tokenizer, text: string, kind: "plain" | "chat"): EncodedPrompt {
  const { bosId } = tokenizer;
  const bare = tokenizer.encode(text, { specialTokens: false });
  if (bosId !== undefined && bare[0] === bosId) return { ids: bare, bos: "template" };
  if (kind === "chat") return { ids: bare, bos: "none" };
  const whole = tokenizer.encode(text, { specialTokens: true });
  const hasBos = bosId !== undefined && whole[0] === bosId;
  const standsAt = (start: number) => bare.every((id, i) => whole[start + i] === id);
  let start = hasBos ? 1 : 0;
  while (start + bare.length < whole.length && !standsAt(start)) start++;
  return { ids: whole.slice(0, start + bare.length), bos: hasBos ? "tokenizer" : "none" };
}
