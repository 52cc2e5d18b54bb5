import { InputError } from "../../errors.js";
import { nearest } from "../../text/nearest.js";
import { quote } from "../json.js";
import type { GgufValue } from "./header.js";
import { makeMerges } from "./merges.js";
import { PRE_TOKENIZERS, preTokenizerNode } from "./pre-tokenizers.js";
import { tokenId } from "./special-ids.js";

type Values = ReadonlyMap<string, GgufValue>;

/** Kinds of tokens, as llama.h numbers them. */
export const TOKEN = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** A tokenizer.json, as far as it is made here. */
export interface TokenizerJson {
  readonly added_tokens: readonly unknown[];
  readonly model: {
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (readonly [string, string])[];
  };
}

/** Whether the file holds a vocabulary. */
export function hasTokenizer(metadata: Values): boolean {
  const model = metadata.get("tokenizer.ggml.model");
  return model !== undefined && model !== "none" && model !== "no_vocab";
}

/**
 * The tokenizer.json that gives a GGUF file's tokens: `gpt2`, merges of bytes, and `llama`, SentencePiece's BPE by scores, which
 * become merges as transformers makes them (convert_slow_tokenizer.py). Throws InputError naming the kind for any other.
 */
export function makeTokenizer(metadata: Values, path: string): TokenizerJson {
  const vocabulary = readVocabulary(metadata, path);
  return vocabulary.model === "gpt2"
    ? byteLevel(metadata, vocabulary, path)
    : sentencePiece(metadata, vocabulary, path);
}

interface Vocabulary {
  readonly model: "gpt2" | "llama";
  readonly tokens: readonly string[];
  readonly types: readonly number[];
  readonly ids: ReadonlyMap<string, number>;
}

function readVocabulary(metadata: Values, path: string): Vocabulary {
  const model = metadata.get("tokenizer.ggml.model");
  if (model !== "gpt2" && model !== "llama") {
    throw new InputError(
      `${path}: its tokenizer is of the kind ${quote(String(model))}, which is not supported (supported: gpt2, llama)`,
    );
  }
  const tokens = listOf(metadata, "tokenizer.ggml.tokens", "string", path);
  const types = metadata.has("tokenizer.ggml.token_type")
    ? listOf(metadata, "tokenizer.ggml.token_type", "number", path, tokens.length)
    : tokens.map(() => TOKEN.normal);
  const ids = new Map<string, number>();
  for (const [id, token] of tokens.entries()) {
    // Of two that are the same the first can be written; the other is reachable by nothing.
    if (!ids.has(token)) ids.set(token, id);
  }
  return { model, tokens, types, ids };
}

type Kinds = { string: string; number: number };

function listOf<K extends keyof Kinds>(
  metadata: Values,
  key: string,
  kind: K,
  path: string,
  length?: number,
): Kinds[K][] {
  const value = metadata.get(key);
  if (!Array.isArray(value) || !value.every((item): item is Kinds[K] => typeof item === kind)) {
    throw new InputError(`${path}: metadata "${key}" is no list of ${kind}s; convert the model again`);
  }
  if (length !== undefined && value.length !== length) {
    throw new InputError(
      `${path}: metadata "${key}" has ${value.length} entries for ${length} tokens; convert it again`,
    );
  }
  return value;
}

function byteLevel(metadata: Values, vocabulary: Vocabulary, path: string): TokenizerJson {
  const pre = preTokenizerOf(metadata, path);
  const merges = listOf(metadata, "tokenizer.ggml.merges", "string", path).map((merge): [string, string] => {
    const space = merge.indexOf(" ", 1);
    const pair: [string, string] = [merge.slice(0, space), merge.slice(space + 1)];
    if (space > 0 && pair.every((part) => vocabulary.ids.has(part)) && vocabulary.ids.has(pair.join(""))) return pair;
    throw new InputError(`${path}: the merge ${quote(merge)} is not of its tokens; convert the model again`);
  });
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
  const model = {
    type: "BPE",
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: pre.ignoreMerges ?? false,
    vocab: vocabularyOf(vocabulary),
    merges,
  };
  return {
    ...HEAD,
    added_tokens: addedTokens(vocabulary, [TOKEN.control, TOKEN.userDefined], boundaries(metadata, path)),
    normalizer: pre.nfc ? { type: "NFC" } : null,
    pre_tokenizer: preTokenizerNode(pre),
    post_processor: around(metadata, vocabulary, pre.addBos ?? false, path) ?? bytes,
    decoder: bytes,
    model,
  } as TokenizerJson;
}

function sentencePiece(metadata: Values, vocabulary: Vocabulary, path: string): TokenizerJson {
  const scores = listOf(metadata, "tokenizer.ggml.scores", "number", path, vocabulary.tokens.length);
  const prefix = metadata.get("tokenizer.ggml.add_space_prefix") !== false;
  const unknown = tokenId(metadata, "unknown", path) ?? vocabulary.types.indexOf(TOKEN.unknown);
  const spaces = { type: "Replace", pattern: { String: " " }, content: "▁" };
  return {
    ...HEAD,
    added_tokens: addedTokens(
      vocabulary,
      [TOKEN.unknown, TOKEN.control, TOKEN.userDefined],
      boundaries(metadata, path),
    ),
    normalizer: { type: "Sequence", normalizers: [...(prefix ? [{ type: "Prepend", prepend: "▁" }] : []), spaces] },
    pre_tokenizer: null,
    post_processor: around(metadata, vocabulary, true, path) ?? null,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(prefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: vocabulary.tokens[unknown] ?? null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: vocabulary.types.includes(TOKEN.byte),
      ignore_merges: false,
      vocab: vocabularyOf(vocabulary),
      merges: makeMerges(vocabulary.ids, scores),
    },
  } as TokenizerJson;
}

const HEAD = { version: "1.0", truncation: null, padding: null };

function vocabularyOf({ ids }: Vocabulary): Record<string, number> {
  return Object.fromEntries(ids);
}

/** The tokens that begin and end texts, special also where the file calls them normal, as GPT-2's does. */
function boundaries(metadata: Values, path: string): Set<number | undefined> {
  return new Set(["bos", "eos", "eot", "eom"].map((name) => tokenId(metadata, name, path)));
}

function addedTokens(
  { tokens, types, ids }: Vocabulary,
  kinds: readonly number[],
  always: ReadonlySet<number | undefined>,
): unknown[] {
  return tokens.flatMap((content, id) => {
    const isAdded = kinds.includes(types[id]!) || always.has(id);
    if (!isAdded || content === "" || ids.get(content) !== id) return [];
    const special = types[id] !== TOKEN.userDefined;
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }];
  });
}

function preTokenizerOf(metadata: Values, path: string) {
  const name = metadata.get("tokenizer.ggml.pre") ?? "default";
  const known = typeof name === "string" && Object.hasOwn(PRE_TOKENIZERS, name) ? PRE_TOKENIZERS[name] : undefined;
  if (known) return known;
  const like = nearest(String(name), Object.keys(PRE_TOKENIZERS));
  throw new InputError(
    `${path}: its tokenizer cuts texts as ${quote(String(name))} does, which pare does not know` +
      `${like === undefined ? "" : ` (it knows ${quote(like)})`}; use the model's tokenizer.json`,
  );
}

/** The post-processor that puts BOS before and EOS after a text, where the file asks for them. */
function around(metadata: Values, { tokens }: Vocabulary, usual: boolean, path: string): unknown {
  const wanted = (name: string, otherwise: boolean) => {
    const id = tokenId(metadata, name, path);
    const adds = metadata.get(`tokenizer.ggml.add_${name}_token`) ?? otherwise;
    const content = id === undefined ? undefined : tokens[id];
    return adds === true && id !== undefined && content !== undefined ? [{ id, content }] : [];
  };
  const before = wanted("bos", usual);
  const after = wanted("eos", false);
  if (before.length + after.length === 0) return undefined;
  const special = ({ content }: { content: string }) => ({ SpecialToken: { id: content, type_id: 0 } });
  const text = (id: string, type: number) => ({ Sequence: { id, type_id: type } });
  const known = [...before, ...after].map(({ id, content }) => [
    content,
    { id: content, ids: [id], tokens: [content] },
  ]);
  return {
    type: "TemplateProcessing",
    single: [...before.map(special), text("A", 0), ...after.map(special)],
    pair: [...before.map(special), text("A", 0), ...after.map(special), text("B", 1)],
    special_tokens: Object.fromEntries(known),
  };
}

/** tokenizer_config.json: the special tokens by name, and the chat template. */
export function makeTokenizerConfig(metadata: Values, path: string): Record<string, unknown> {
  const { tokens } = readVocabulary(metadata, path);
  const config: Record<string, unknown> = {
    tokenizer_class: "PreTrainedTokenizerFast",
    clean_up_tokenization_spaces: false,
  };
  for (const [name, key] of [
    ["bos", "bos_token"],
    ["eos", "eos_token"],
    ["unknown", "unk_token"],
    ["padding", "pad_token"],
  ] as const) {
    const id = tokenId(metadata, name, path);
    if (id !== undefined && tokens[id] !== undefined) config[key] = tokens[id];
  }
  const template = metadata.get("tokenizer.chat_template");
  if (typeof template === "string") config["chat_template"] = template;
  return config;
}
