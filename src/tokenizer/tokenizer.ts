import { join } from "node:path";
import { z } from "zod";
import { readModelFile, readModelJson } from "../checkpoint/model-file.js";
import { InputError } from "../errors.js";
import { type AddedToken, createSplitter } from "./added-tokens.js";
import { type BpeModel, createBpe, type EncodePiece } from "./bpe.js";
import { createDecoder, createTokenText } from "./decode.js";
import { createLibrary, type Library } from "./library.js";
import { portablePreTokenizer } from "./pre-tokenizer.js";
import { specialTokensAround } from "./special-tokens.js";

/** Text to token ids and back, as a model folder's tokenizer.json says. */
export interface Tokenizer {
  /** Token ids of a text; `specialTokens` adds what the post-processor puts around it (BOS, EOS). */
  encode(text: string, options: { specialTokens: boolean }): Int32Array;
  /** Text of token ids. Ids outside the vocabulary give no text; bytes that are no whole character give U+FFFD. */
  decode(ids: ArrayLike<number>, options: { skipSpecialTokens: boolean }): string;
  /** What one token stands for, for display: bytes that are no whole character are shown as `<0xE2>`. */
  tokenText(id: number): string;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  /** The highest token id plus one, added tokens included. */
  readonly vocabularySize: number;
}

/** Two ids make one exact number: (2²⁶)² < 2⁵³. */
const MAX_TOKEN_ID = 2 ** 26 - 1;
/** Gemma's tokenizer.json is 34 MB. */
export const MAX_TOKENIZER_BYTES = 256 * 1024 * 1024;

const id = z.number().int().min(0).max(MAX_TOKEN_ID);
const flag = z.boolean().nullish();
const text = z.string().nullish();
const part = z.looseObject({ type: z.string() }).nullish();

const modelSchema = z.looseObject({
  type: z.string().nullish(),
  vocab: z.union([z.record(z.string(), id), z.array(z.tuple([z.string(), z.number()]))]),
  merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])).optional(),
  unk_token: text,
  unk_id: id.nullish(),
  fuse_unk: flag,
  byte_fallback: flag,
  ignore_merges: flag,
  continuing_subword_prefix: text,
  end_of_word_suffix: text,
});

const tokenizerSchema = z.looseObject({
  added_tokens: z
    .array(
      z.looseObject({
        id,
        content: z.string(),
        single_word: flag,
        lstrip: flag,
        rstrip: flag,
        normalized: flag,
        special: flag,
      }),
    )
    .nullish(),
  normalizer: part,
  pre_tokenizer: part,
  post_processor: part,
  decoder: part,
  model: modelSchema,
});

const tokenSchema = z.union([z.string(), z.looseObject({ content: z.string() })]).nullish();
const configSchema = z.looseObject({ bos_token: tokenSchema, eos_token: tokenSchema });

/**
 * The tokenizer of a model folder (tokenizer.json, tokenizer_config.json) or a GGUF file, or undefined where it has none.
 * Gives the ids of Hugging Face's `tokenizers` library for that file. Throws InputError where the file is malformed.
 *
 * Normalizers, regular expressions and decoders are those of the npm package @huggingface/tokenizers; merging, added tokens
 * and the places where that package differs from the Rust library are in this folder.
 */
export async function loadTokenizer(directory: string): Promise<Tokenizer | undefined> {
  const file = join(directory, "tokenizer.json");
  const json = await readTokenizerJson(directory);
  if (json === undefined) return undefined;
  const definition = checked(tokenizerSchema, json, file);
  const names = await readSpecialTokenNames(directory);
  try {
    return createTokenizer(definition, names, file);
  } catch (error) {
    if (error instanceof InputError) throw error;
    // The library reports what it does not know as plain errors.
    throw new InputError(`${file}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

type Definition = z.infer<typeof tokenizerSchema>;

function createTokenizer(definition: Definition, names: SpecialTokenNames, file: string): Tokenizer {
  const { model } = definition;
  const isBpe = model.type === "BPE" || (model.type == null && model.merges !== undefined);
  const library = createLibrary({
    ...definition,
    normalizer: definition.normalizer ?? null,
    pre_tokenizer: portablePreTokenizer(definition.pre_tokenizer ?? null),
    post_processor: null,
    decoder: definition.decoder ?? null,
    added_tokens: definition.added_tokens ?? [],
    // Merging is done here: the library need not index the merges a second time.
    model: isBpe ? { type: "BPE", vocab: {}, merges: [] } : model,
  });
  const vocabulary = new Map(
    Array.isArray(model.vocab) ? model.vocab.map(([token], i) => [token, i]) : Object.entries(model.vocab),
  );
  const encodePiece = isBpe ? createBpe(bpeModel(model, new Map(vocabulary)), file) : libraryPieces(library);
  const added = addedTokens(definition, vocabulary);
  for (const token of added) vocabulary.set(token.content, token.id);
  const tokenOfId: string[] = [];
  for (const [token, tokenId] of vocabulary) tokenOfId[tokenId] = token;

  const { normalizer, pre_tokenizer: preTokenizer } = library;
  const normalize = (stretch: string): string =>
    normalizer && stretch !== "" ? normalizer.normalize(stretch) : stretch;
  const splitGiven = createSplitter(
    added.filter((token) => !token.normalized).map((token) => ({ pattern: token.content, token })),
  );
  const splitNormalized = createSplitter(
    added.filter((token) => token.normalized).map((token) => ({ pattern: normalize(token.content), token })),
  );
  const around = specialTokensAround(definition.post_processor, vocabulary, file);

  return {
    encode(given, { specialTokens }) {
      const ids: number[] = specialTokens ? [...around.before] : [];
      // Half of a surrogate pair is no character and has no UTF-8.
      for (const section of splitGiven(given.replace(/\p{Surrogate}/gu, "\uFFFD"))) {
        if ("id" in section) {
          ids.push(section.id);
          continue;
        }
        for (const stretch of splitNormalized(normalize(section.text))) {
          if ("id" in stretch) {
            ids.push(stretch.id);
            continue;
          }
          // Section 0 is where a Metaspace with prepend_scheme "first" puts its ▁.
          const options = { section_index: section.first && stretch.first ? 0 : 1 };
          const pieces = preTokenizer ? preTokenizer.pre_tokenize(stretch.text, options) : [stretch.text];
          for (const piece of pieces) encodePiece(piece, ids);
        }
      }
      if (specialTokens) ids.push(...around.after);
      return Int32Array.from(ids);
    },
    decode: createDecoder(library.decoder, definition.decoder, tokenOfId, added),
    tokenText: createTokenText(definition.decoder, tokenOfId, added),
    bosId: names.bos === undefined ? undefined : vocabulary.get(names.bos),
    eosId: names.eos === undefined ? undefined : vocabulary.get(names.eos),
    vocabularySize: tokenOfId.length,
  };
}

function addedTokens(definition: Definition, vocabulary: ReadonlyMap<string, number>): AddedToken[] {
  return (definition.added_tokens ?? []).map((token) => ({
    // As in the Rust library, a token that the model knows keeps the model's id.
    id: vocabulary.get(token.content) ?? token.id,
    content: token.content,
    singleWord: token.single_word ?? false,
    lstrip: token.lstrip ?? false,
    rstrip: token.rstrip ?? false,
    normalized: token.normalized ?? !token.special,
    special: token.special ?? false,
  }));
}

function bpeModel(model: Definition["model"], vocabulary: ReadonlyMap<string, number>): BpeModel {
  return {
    vocab: vocabulary,
    merges: (model.merges ?? []).map((merge) => {
      if (typeof merge !== "string") return merge;
      const space = merge.indexOf(" ", 1);
      return [merge.slice(0, space), merge.slice(space + 1)] as const;
    }),
    unknownToken: model.unk_token ?? undefined,
    fuseUnknown: model.fuse_unk ?? false,
    byteFallback: model.byte_fallback ?? false,
    ignoreMerges: model.ignore_merges ?? false,
    continuingSubwordPrefix: model.continuing_subword_prefix ?? "",
    endOfWordSuffix: model.end_of_word_suffix ?? "",
  };
}

/** WordPiece and Unigram as the library does them. */
function libraryPieces(library: Library): EncodePiece {
  const { model } = library;
  return (piece, ids) => {
    for (const token of model._call([piece])) {
      const tokenId = model.tokens_to_ids.get(token) ?? model.unk_token_id;
      if (tokenId !== undefined) ids.push(tokenId);
    }
  };
}

interface SpecialTokenNames {
  readonly bos: string | undefined;
  readonly eos: string | undefined;
}

async function readSpecialTokenNames(directory: string): Promise<SpecialTokenNames> {
  let bos: string | undefined;
  let eos: string | undefined;
  for (const name of ["tokenizer_config.json", "special_tokens_map.json"]) {
    const file = join(directory, name);
    const json = await readModelJson(directory, name, MAX_TOKENIZER_BYTES);
    if (json === undefined) continue;
    const config = checked(configSchema, json, file);
    bos ??= contentOf(config.bos_token);
    eos ??= contentOf(config.eos_token);
  }
  return { bos, eos };
}

const contentOf = (token: z.infer<typeof tokenSchema>): string | undefined =>
  typeof token === "string" ? token : token?.content;

/** Of tens of megabytes, which need not be as strict as configs are: its schema follows. */
async function readTokenizerJson(model: string): Promise<unknown> {
  const name = "tokenizer.json";
  const bytes = await readModelFile(model, name, MAX_TOKENIZER_BYTES);
  if (bytes === undefined) return undefined;
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new InputError(`${join(model, name)}: no JSON: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

function checked<T>(schema: z.ZodType<T>, json: unknown, file: string): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new InputError(`${file}: ${issue?.path.join(".") || "the file"}: ${issue?.message ?? "malformed"}`);
}
