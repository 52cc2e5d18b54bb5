import { isObject } from "../checkpoint/json.js";
import { InputError } from "../errors.js";

/** The ids that a post-processor puts before and after a single text. */
export interface Around {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

const NOTHING: Around = { before: [], after: [] };

/**
 * What tokenizer.json's `post_processor` puts around a single text: TemplateProcessing (LLaMA's BOS), BertProcessing,
 * RobertaProcessing, ByteLevel (nothing) or a Sequence of these. Throws InputError for another type or an unknown token.
 */
export function specialTokensAround(processor: unknown, vocabulary: ReadonlyMap<string, number>, file: string): Around {
  if (!isObject(processor)) return NOTHING;
  const malformed = (what: string) => new InputError(`${file}: post_processor: ${what}`);
  switch (processor["type"]) {
    case "ByteLevel":
      return NOTHING;
    case "Sequence": {
      if (!Array.isArray(processor["processors"])) throw malformed("processors must be a list");
      return processor["processors"]
        .map((part) => specialTokensAround(part, vocabulary, file))
        .reduce(
          (inner, outer) => ({
            before: [...outer.before, ...inner.before],
            after: [...inner.after, ...outer.after],
          }),
          NOTHING,
        );
    }
    case "BertProcessing":
    case "RobertaProcessing": {
      const [before, after] = [processor["cls"], processor["sep"]].map((pair) => {
        if (Array.isArray(pair) && Number.isInteger(pair[1])) return pair[1] as number;
        throw malformed("cls and sep must be [token, id]");
      });
      return { before: [before!], after: [after!] };
    }
    case "TemplateProcessing": {
      const items = processor["single"];
      if (!Array.isArray(items)) throw malformed("single must be a list");
      const before: number[] = [];
      const after: number[] = [];
      let side = before;
      for (const item of items) {
        if (isObject(item) && isObject(item["SpecialToken"])) {
          const name = String(item["SpecialToken"]["id"]);
          const known = isObject(processor["special_tokens"]) ? processor["special_tokens"][name] : undefined;
          const ids = isObject(known) && Array.isArray(known["ids"]) ? known["ids"] : [vocabulary.get(name)];
          for (const id of ids) {
            if (!Number.isInteger(id)) throw malformed(`no id for the special token ${JSON.stringify(name)}`);
            side.push(id);
          }
        } else side = after;
      }
      return { before, after };
    }
    default:
      throw malformed(`unknown type ${JSON.stringify(processor["type"])}`);
  }
}
