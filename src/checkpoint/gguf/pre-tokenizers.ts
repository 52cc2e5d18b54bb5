/**
 * What the names of `tokenizer.ggml.pre` stand for: the regular expressions by which llama.cpp (llama-vocab.cpp) cuts a text
 * before it merges bytes, one after the other, and what else it sets. `(?i:'s|…)` is written out, since not every JavaScript
 * knows it. NFC is what the models' own tokenizer.json has and llama.cpp leaves out.
 */
export interface PreTokenizer {
  readonly splits: readonly string[];
  /** A piece that is itself a token is taken whole. */
  readonly ignoreMerges?: boolean;
  /** Whether a text begins with BOS where the file does not say. */
  readonly addBos?: boolean;
  readonly nfc?: boolean;
}

export const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
export const CONTRACTIONS = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
/** GPT-4's and its relatives', which differ in how many digits make a piece. */
const gpt4 = (digits: string) =>
  `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
const UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
/** GPT-4o's and its relatives': words by case. */
const gpt4o = (after: string, digits: string) =>
  `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+${after}|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*${after}|${digits}` +
  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const BLOOM = " ?[^(\\s|.,!?…。，、।۔،)]+";

const llama3: PreTokenizer = { splits: [gpt4("\\p{N}{1,3}")], ignoreMerges: true, addBos: true };
const gpt2: PreTokenizer = { splits: [GPT2] };
const singleDigits: PreTokenizer = { splits: ["\\p{N}", GPT2] };
const qwen2: PreTokenizer = { splits: [gpt4("\\p{N}")], nfc: true };

export const PRE_TOKENIZERS: Readonly<Record<string, PreTokenizer>> = {
  default: { splits: ["[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"] },
  "llama-bpe": llama3,
  llama3,
  "llama-v3": llama3,
  falcon3: llama3,
  pixtral: llama3,
  "gpt-2": gpt2,
  "phi-2": gpt2,
  mpt: gpt2,
  olmo: { ...gpt2, nfc: true },
  jais: gpt2,
  trillion: gpt2,
  exaone4: gpt2,
  gigachat: gpt2,
  mellum: gpt2,
  "granite-docling": gpt2,
  starcoder: singleDigits,
  refact: singleDigits,
  smollm: singleDigits,
  codeshell: singleDigits,
  exaone: singleDigits,
  "minerva-7b": singleDigits,
  "command-r": { ...singleDigits, nfc: true },
  qwen2,
  "deepseek-r1-qwen": qwen2,
  stablelm2: qwen2,
  megrez: qwen2,
  hunyuan: { splits: [gpt4("\\p{N}")] },
  dbrx: { splits: [gpt4("\\p{N}{1,3}")] },
  "smaug-bpe": { splits: [gpt4("\\p{N}{1,3}")] },
  "chatglm-bpe": { splits: [gpt4("\\p{N}{1,3}")] },
  glm4: { splits: [gpt4("\\p{N}{1,3}")], ignoreMerges: true },
  tekken: { splits: [gpt4o("", "\\p{N}")], ignoreMerges: true, addBos: true },
  "gpt-4o": { splits: [gpt4o(`${CONTRACTIONS}?`, "\\p{N}{1,3}")] },
  llama4: { splits: [gpt4o(`${CONTRACTIONS}?`, "\\p{N}{1,3}")] },
  falcon: { splits: ["[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]"] },
  bloom: { splits: [BLOOM] },
  "gpt3-finnish": { splits: [BLOOM] },
  "poro-chat": { splits: [BLOOM] },
  viking: { splits: [BLOOM, "\\p{N}"] },
  "deepseek-coder": {
    splits: ["[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥ࠀ-一가-퟿]+", "\\p{N}"],
  },
  "deepseek-v3": {
    splits: [
      "\\p{N}{1,3}",
      "[一-龥぀-ゟ゠-ヿ]+",
      "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+" +
        "| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    ],
  },
};

/** tokenizer.json's pre_tokenizer. */
export function preTokenizerNode({ splits }: PreTokenizer): unknown {
  return {
    type: "Sequence",
    pretokenizers: [
      ...splits.map((regex) => ({ type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false })),
      { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
    ],
  };
}
