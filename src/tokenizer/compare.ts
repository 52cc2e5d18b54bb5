import { readModelFile } from "../checkpoint/model-file.js";
import { loadChatTemplate } from "./chat-template.js";
import { loadTokenizer, MAX_TOKENIZER_BYTES } from "./tokenizer.js";

/** Words, numbers, spaces, code, special tokens and several scripts: what tokenizers cut differently. */
const SAMPLE =
  "Once upon a time, there wasn't much: 3 or 1234567.89 naïve cafés…\n\n\tdef f(x):\n        return x**2  # <s>[INST]<|im_start|>user" +
  "<|endoftext|></s>\r\nПривет, мир! 你好,世界。 こんにちは мир🙂🙂 straße ǅ   \u00a0 end ";

/** Whether two models' tokenizers give the same ids, as far as a sample shows; true where one of them has none. */
export async function cutAlike(a: string, b: string): Promise<boolean> {
  const [one, other] = await Promise.all(
    [a, b].map((model) => readModelFile(model, "tokenizer.json", MAX_TOKENIZER_BYTES)),
  );
  if (!one || !other || Buffer.compare(one, other) === 0) return true;
  const [ids, others] = await Promise.all(
    [a, b].map(async (model) => (await loadTokenizer(model))?.encode(SAMPLE, { specialTokens: true })),
  );
  return ids?.join() === others?.join();
}

/** Whether two models write a conversation by the same template; true where one of them has none. */
export async function talkAlike(a: string, b: string): Promise<boolean> {
  const [one, other] = await Promise.all([a, b].map((model) => loadChatTemplate(model)));
  return !one || !other || one.source === other.source;
}
