import { InputError } from "../errors.js";
import type { Architecture } from "./family.js";

/**
 * Throws InputError for windows that a model cannot be run on: none at all, too short to predict anything, longer than
 * the model was made for, or with ids outside its vocabulary.
 */
export function checkWindows(
  windows: readonly Int32Array[],
  { maxTokens, vocabularySize }: Pick<Architecture, "maxTokens" | "vocabularySize">,
  source: string,
): void {
  if (windows.length === 0) throw new InputError(`${source}: holds no windows`);
  for (const [w, window] of windows.entries()) {
    if (window.length < 2) throw new InputError(`${source}: window ${w} has ${window.length} tokens; 2 are the least`);
    if (window.length > maxTokens) {
      throw new InputError(
        `${source}: window ${w} has ${window.length} tokens, but the model was made for at most ${maxTokens} ` +
          "(max_position_embeddings); choose a smaller --sequence-length",
      );
    }
    const outside = window.find((id) => id < 0 || id >= vocabularySize);
    if (outside !== undefined) {
      throw new InputError(
        `${source}: window ${w} holds token id ${outside}, outside the model's vocabulary of ${vocabularySize}; ` +
          "were the ids made by another tokenizer?",
      );
    }
  }
}
