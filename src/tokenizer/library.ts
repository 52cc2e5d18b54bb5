import { Tokenizer } from "@huggingface/tokenizers";

/**
 * What is used of @huggingface/tokenizers, said here because the package's own declarations import without file
 * extensions, so that TypeScript's NodeNext resolution finds none of them.
 */
export interface Library {
  readonly normalizer: { normalize(text: string): string } | null;
  readonly pre_tokenizer: { pre_tokenize(text: string, options: { section_index: number }): string[] } | null;
  readonly model: {
    readonly tokens_to_ids: ReadonlyMap<string, number>;
    readonly unk_token_id?: number;
    _call(pieces: string[]): string[];
  };
  readonly decoder: { decode(tokens: string[]): string } | null;
}

/** The parts of a tokenizer.json. Throws a plain Error for what the package does not know. */
export const createLibrary: (tokenizer: object) => Library = (tokenizer) => new Tokenizer(tokenizer, {}) as Library;
