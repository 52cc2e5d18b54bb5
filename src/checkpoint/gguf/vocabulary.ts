import { InputError } from "../../errors.js";
import type { Checkpoint } from "../checkpoint.js";
import { isObject, quote } from "../json.js";
import { readModelFile, readModelJson } from "../model-file.js";
import { string, type Typed, uint32 } from "./encode.js";
import { makeMerges } from "./merges.js";
import { CONTRACTIONS, GPT2, PRE_TOKENIZERS } from "./pre-tokenizers.js";
import { TOKEN } from "./tokenizer.js";

const MAX_TOKENIZER_BYTES = 256 * 1024 * 1024;

type Json = Readonly<Record<string, unknown>>;

/**
 * A model's tokenizer as GGUF's metadata: byte-level BPE with the name of how it cuts texts, or SentencePiece's BPE, whose merges
 * become scores; "no_vocab" where the model has no tokenizer.json. Throws InputError for one that llama.cpp has no name for:
 * it would give other tokens.
 */
export async function vocabularyMetadata(base: Checkpoint, rows: number): Promise<Map<string, Typed>> {
  const metadata = new Map<string, Typed>();
  const tokenizer = await readModelJson(base.path, "tokenizer.json", MAX_TOKENIZER_BYTES);
  if (!tokenizer) return metadata.set("tokenizer.ggml.model", string("no_vocab"));
  const where = `${base.path}: tokenizer.json`;
  const config = (await readModelJson(base.path, "tokenizer_config.json", MAX_TOKENIZER_BYTES)) ?? {};
  const model = isObject(tokenizer["model"]) ? tokenizer["model"] : {};
  const { vocab, type } = model;
  if (!isObject(vocab) || (type ?? "BPE") !== "BPE") {
    throw new InputError(`${where}: its model is ${quote(String(type))}, and only BPE is written as GGUF`);
  }
  const merges = readMerges(model["merges"], where);
  const set = (key: string, value: Typed) => metadata.set(`tokenizer.${key}`, value);
  const isSentencePiece = model["byte_fallback"] === true;
  const { tokens, types } = listTokens(
    vocab,
    tokenizer["added_tokens"],
    isSentencePiece,
    model["unk_token"],
    rows,
    where,
  );
  set("ggml.model", string(isSentencePiece ? "llama" : "gpt2"));
  set("ggml.pre", string(isSentencePiece ? "default" : preName(tokenizer, model["ignore_merges"] === true, where)));
  set("ggml.tokens", { type: "strings", value: tokens });
  if (isSentencePiece) set("ggml.scores", { type: "float32s", value: scoresOf(tokens, merges, where) });
  set("ggml.token_type", { type: "int32s", value: types });
  if (isSentencePiece) set("ggml.add_space_prefix", { type: "bool", value: prependsSpace(tokenizer) });
  else set("ggml.merges", { type: "strings", value: merges.map((pair) => pair.join(" ")) });
  setSpecialTokens(set, tokenizer, config, tokens, base.config);
  const template = (await readText(base, "chat_template.jinja")) ?? config["chat_template"];
  if (typeof template === "string") set("chat_template", string(template));
  return metadata;
}

async function readText(base: Checkpoint, name: string): Promise<string | undefined> {
  const bytes = await readModelFile(base.path, name, MAX_TOKENIZER_BYTES);
  return bytes && new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

function readMerges(merges: unknown, where: string): (readonly [string, string])[] {
  if (!Array.isArray(merges)) throw new InputError(`${where}: its model has no merges`);
  return merges.map((merge: unknown) => {
    if (Array.isArray(merge) && typeof merge[0] === "string" && typeof merge[1] === "string")
      return [merge[0], merge[1]];
    const space = typeof merge === "string" ? merge.indexOf(" ", 1) : -1;
    if (typeof merge === "string" && space > 0) return [merge.slice(0, space), merge.slice(space + 1)];
    throw new InputError(`${where}: ${quote(String(merge))} is no merge`);
  });
}

/** Tokens by id, as many as the embeddings have rows, and their kinds. */
function listTokens(
  vocab: Json,
  added: unknown,
  isSentencePiece: boolean,
  unknown: unknown,
  rows: number,
  where: string,
): { tokens: string[]; types: number[] } {
  const tokens = Array.from({ length: rows }, (_, id) => `[PAD${id}]`);
  const types = new Array<number>(rows).fill(TOKEN.unused);
  const put = (id: unknown, token: string, type: number): void => {
    if (typeof id !== "number" || !Number.isSafeInteger(id) || id < 0 || id >= rows) {
      throw new InputError(`${where}: token ${quote(token)} has the id ${id}, and the model has ${rows} embeddings`);
    }
    tokens[id] = token;
    types[id] = type;
  };
  const isByte = (token: string) => isSentencePiece && /^<0x[0-9A-F]{2}>$/.test(token);
  for (const [token, id] of Object.entries(vocab)) put(id, token, isByte(token) ? TOKEN.byte : TOKEN.normal);
  for (const entry of Array.isArray(added) ? added : []) {
    if (!isObject(entry) || typeof entry["content"] !== "string")
      throw new InputError(`${where}: malformed added_tokens`);
    const { content, special } = entry;
    const kind = content === unknown ? TOKEN.unknown : special === true ? TOKEN.control : TOKEN.userDefined;
    put(entry["id"], content, kind);
  }
  return { tokens, types };
}

/**
 * Scores that give the merges back: of each token the rank of the first merge that makes it. Throws InputError where they
 * would not, since llama.cpp merges whatever two tokens make a third.
 */
function scoresOf(tokens: readonly string[], merges: readonly (readonly [string, string])[], where: string): number[] {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const scores = tokens.map(() => 0);
  for (const [rank, pair] of [...merges.entries()].toReversed()) {
    const id = ids.get(pair.join(""));
    if (id !== undefined) scores[id] = -1 - rank;
  }
  const given = new Set(merges.map((pair) => pair.join(" ")));
  const made = makeMerges(ids, scores);
  // A token's merges have one score, so that no other token's may stand between them.
  const runs = merges.filter((pair, i) => pair.join("") !== merges[i - 1]?.join("")).length;
  const makesAll = made.length === merges.length && made.every((pair) => given.has(pair.join(" ")));
  if (makesAll && runs === new Set(merges.map((pair) => pair.join(""))).size) return scores;
  throw new InputError(
    `${where}: its merges are not those of a SentencePiece model, which is all that GGUF has room for`,
  );
}

function prependsSpace(tokenizer: Json): boolean {
  const text = JSON.stringify([tokenizer["normalizer"], tokenizer["pre_tokenizer"]]);
  return /"type":"Prepend"|"prepend_scheme":"(first|always)"|"add_prefix_space":true/.test(text);
}

/** The name of llama.cpp's way to cut texts that is this one's. */
function preName(tokenizer: Json, ignoresMerges: boolean, where: string): string {
  const splits = splitsOf(tokenizer["pre_tokenizer"]);
  const normalizes = JSON.stringify(tokenizer["normalizer"] ?? null).includes("NFC");
  const fits = Object.entries(PRE_TOKENIZERS).filter(
    ([, pre]) =>
      (pre.ignoreMerges ?? false) === ignoresMerges &&
      splits?.length === pre.splits.length &&
      pre.splits.every((split, i) => split === splits[i]),
  );
  const [best] = fits.toSorted(
    ([, a], [, b]) => Number((b.nfc ?? false) === normalizes) - Number((a.nfc ?? false) === normalizes),
  );
  if (best) return best[0];
  throw new InputError(
    `${where}: llama.cpp has no name for how it cuts texts (pre_tokenizer), so that GGUF cannot say it`,
  );
}

/** The regular expressions by which a pre-tokenizer cuts, in the spelling of our table; undefined where it does anything else. */
function splitsOf(node: unknown): string[] | undefined {
  if (!isObject(node)) return undefined;
  switch (node["type"]) {
    case "Sequence": {
      const parts = Array.isArray(node["pretokenizers"]) ? node["pretokenizers"].map(splitsOf) : [undefined];
      return parts.every((part) => part !== undefined) ? parts.flat() : undefined;
    }
    case "ByteLevel":
      if (node["add_prefix_space"] === true) return undefined;
      return node["use_regex"] === false ? [] : [GPT2];
    case "Digits":
      return [node["individual_digits"] === true ? "\\p{N}" : "\\p{N}+"];
    case "Split": {
      const pattern = isObject(node["pattern"]) ? node["pattern"]["Regex"] : undefined;
      const isolates = node["behavior"] === "Isolated" || (node["behavior"] === "Removed" && node["invert"] === true);
      if (typeof pattern !== "string" || !isolates) return undefined;
      return [pattern.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)", CONTRACTIONS)];
    }
    default:
      return undefined;
  }
}

function setSpecialTokens(
  set: (key: string, value: Typed) => void,
  tokenizer: Json,
  config: Json,
  tokens: readonly string[],
  modelConfig: Json,
): void {
  const content = (value: unknown) => (isObject(value) ? value["content"] : value);
  const firstId = (value: unknown) => (Array.isArray(value) ? value[0] : value);
  const around = JSON.stringify(
    isObject(tokenizer["post_processor"]) ? specialsAround(tokenizer["post_processor"]) : [],
  );
  for (const [name, key] of [
    ["bos", "bos"],
    ["eos", "eos"],
    ["unk", "unknown"],
    ["pad", "padding"],
  ] as const) {
    const token = content(config[`${name}_token`]);
    const known = typeof token === "string" ? tokens.indexOf(token) : firstId(modelConfig[`${name}_token_id`]);
    if (typeof known !== "number" || known < 0) continue;
    set(`ggml.${key}_token_id`, uint32(known));
    if (name === "bos" || name === "eos") {
      set(`ggml.add_${name}_token`, { type: "bool", value: around.includes(JSON.stringify(tokens[known])) });
    }
  }
}

/** The names of the tokens that a post-processor puts around a single text. */
function specialsAround(processor: Json): unknown[] {
  const { processors, single } = processor;
  if (Array.isArray(processors)) return processors.flatMap((part) => (isObject(part) ? specialsAround(part) : []));
  if (!Array.isArray(single)) return [];
  return single.flatMap((item) =>
    isObject(item) && isObject(item["SpecialToken"]) ? [item["SpecialToken"]["id"]] : [],
  );
}
