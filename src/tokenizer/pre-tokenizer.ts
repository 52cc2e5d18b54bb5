import { InputError } from "../errors.js";

/** A node of tokenizer.json's `pre_tokenizer`. */
type Node = Readonly<Record<string, unknown>>;

const ALL = "[\\s\\S]";
const PUNCTUATION = "[!-/:-@\\[-`{-~\\p{P}]";
const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/**
 * The same pre-tokenizer said in those of its parts in which @huggingface/tokenizers 0.2 gives what the Rust library
 * gives. It differs from Rust in these, so that they are written as `Split`s with the pattern that Rust uses:
 * `Digits` (only ASCII digits), `ByteLevel` with its regular expression (JavaScript's `\s`), `Punctuation` (only
 * contiguous), `Metaspace` with `split` (never splits), `Whitespace` (ASCII words), `WhitespaceSplit`, `Split` that is
 * merged with a neighbour, contiguous or inverted, and `CharDelimiterSplit` (unknown).
 */
export function portablePreTokenizer(node: unknown): unknown {
  if (!isNode(node)) return node;
  const isolated = (regex: string) => split(regex, "Isolated");
  switch (node["type"]) {
    case "Sequence": {
      const parts = node["pretokenizers"];
      return { ...node, pretokenizers: Array.isArray(parts) ? parts.map(portablePreTokenizer) : parts };
    }
    case "Digits":
      return isolated(node["individual_digits"] === true ? "\\p{N}" : "\\p{N}+");
    case "ByteLevel": {
      if (node["use_regex"] === false) return node;
      const parts: unknown[] = [isolated(GPT2), { ...node, add_prefix_space: false, use_regex: false }];
      // The space goes before the text, not before each word of it: what a Metaspace does, with a space for its ▁.
      if (node["add_prefix_space"] === true) {
        parts.unshift({ type: "Metaspace", replacement: " ", prepend_scheme: "always" });
      }
      return { type: "Sequence", pretokenizers: parts };
    }
    case "Punctuation":
      return portableSplit(PUNCTUATION, node["behavior"] ?? "Isolated", false);
    case "Metaspace": {
      if (node["split"] === false) return node;
      const replacement = typeof node["replacement"] === "string" ? node["replacement"] : "▁";
      return {
        type: "Sequence",
        pretokenizers: [node, portableSplit(escapeRegex(replacement), "MergedWithNext", false)],
      };
    }
    case "Whitespace":
      return portableSplit("\\w+|[^\\w\\s]+", "Removed", true);
    case "WhitespaceSplit":
      return split("\\s+", "Removed");
    case "CharDelimiterSplit":
      return split(escapeRegex(String(node["delimiter"])), "Removed");
    case "Split": {
      const regex = regexOf(node["pattern"]);
      return regex === undefined ? node : portableSplit(regex, node["behavior"], node["invert"] === true);
    }
    default:
      return node;
  }
}

/** `invert` takes what lies between the matches for the matches. */
function portableSplit(regex: string, behavior: unknown, invert: boolean): Node {
  const match = `(?:${regex})`;
  const other = `(?:(?!${match})${ALL})`;
  switch (behavior) {
    case "Removed":
      return { ...split(regex, "Removed"), invert };
    case "Isolated":
      return split(regex, "Isolated");
    case "MergedWithPrevious":
      // Said so that no stretch without a match is scanned twice: a text may have a million characters.
      if (!invert) return split(`${other}+${match}?|${match}`, "Isolated");
      break;
    case "MergedWithNext":
      if (!invert) return split(`${match}${other}*`, "Isolated");
      break;
    case "Contiguous":
      return split(`${match}+`, "Isolated");
  }
  throw new InputError(
    `pre_tokenizer: a Split with behavior ${JSON.stringify(behavior)}${invert ? " inverted" : ""} is not supported`,
  );
}

const split = (regex: string, behavior: string): Node => ({
  type: "Split",
  pattern: { Regex: regex },
  behavior,
  invert: false,
});

function regexOf(pattern: unknown): string | undefined {
  if (!isNode(pattern)) return undefined;
  if (typeof pattern["Regex"] === "string") return pattern["Regex"];
  return typeof pattern["String"] === "string" ? escapeRegex(pattern["String"]) : undefined;
}

const escapeRegex = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && !Array.isArray(value);
