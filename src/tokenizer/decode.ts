import type { AddedToken } from "./added-tokens.js";
import type { Library } from "./library.js";

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2})>$/;

/** The bytes that GPT-2's printable alphabet stands for: `Ġ` is 0x20. */
const BYTE_OF_CHARACTER = new Map<string, number>();
for (let byte = 0, next = 256; byte < 256; byte++) {
  const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  BYTE_OF_CHARACTER.set(String.fromCharCode(printable ? byte : next++), byte);
}

type DecodeIds = (ids: ArrayLike<number>, options: { skipSpecialTokens: boolean }) => string;

/** Ids to text by the library's decoder; as transformers does for BPE, without "cleaning up" spaces before punctuation. */
export function createDecoder(
  decoder: Library["decoder"],
  definition: unknown,
  tokenOfId: readonly string[],
  added: readonly AddedToken[],
): DecodeIds {
  const special = new Set(added.filter((token) => token.special).map((token) => token.id));
  const bytesFallBack = has(definition, "ByteFallback");
  return (ids, { skipSpecialTokens }) => {
    const tokens: string[] = [];
    for (let i = 0; i < ids.length; i++) {
      const token = tokenOfId[ids[i]!];
      if (token !== undefined && !(skipSpecialTokens && special.has(ids[i]!))) tokens.push(token);
    }
    if (tokens.length === 0) return "";
    if (!decoder) return tokens.join(" ");
    return decoder.decode(bytesFallBack ? joinByteTokens(tokens) : tokens);
  };
}

/**
 * Runs of `<0x..>` tokens as the text that they spell, or as one U+FFFD for each where they spell none.
 * (The library gives fewer U+FFFD than the Rust one, and drops U+FEFF.)
 */
function joinByteTokens(tokens: readonly string[]): string[] {
  const joined: string[] = [];
  let run: number[] = [];
  const flush = (): void => {
    if (run.length === 0) return;
    const text = decodeStrictly(run);
    joined.push(...(text === undefined ? run.map(() => "\uFFFD") : [text]));
    run = [];
  };
  for (const token of tokens) {
    const byte = BYTE_TOKEN.exec(token)?.[1];
    if (byte !== undefined) run.push(Number.parseInt(byte, 16));
    else {
      flush();
      joined.push(token);
    }
  }
  flush();
  return joined;
}

/** What one token stands for, by itself. */
export function createTokenText(
  definition: unknown,
  tokenOfId: readonly string[],
  added: readonly AddedToken[],
): (id: number) => string {
  const byteLevel = has(definition, "ByteLevel");
  const contents = new Map(added.map((token) => [token.id, token.content]));
  return (id) => {
    const token = tokenOfId[id];
    if (token === undefined) return `<${id}>`;
    if (contents.has(id)) return token;
    if (!byteLevel) return token.replaceAll("▁", " ");
    const bytes = Array.from(token, (character) => BYTE_OF_CHARACTER.get(character));
    return bytes.every((byte) => byte !== undefined) ? readable(bytes) : token;
  };
}

/** UTF-8 with every byte that belongs to no whole character written as `<0xE2>`. */
function readable(bytes: readonly number[]): string {
  let text = "";
  for (let i = 0; i < bytes.length; ) {
    const lead = bytes[i]!;
    const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    const character = i + length <= bytes.length ? decodeStrictly(bytes.slice(i, i + length)) : undefined;
    text += character ?? `<0x${lead.toString(16).toUpperCase().padStart(2, "0")}>`;
    i += character === undefined ? 1 : length;
  }
  return text;
}

function decodeStrictly(bytes: readonly number[]): string | undefined {
  try {
    return strictUtf8.decode(Uint8Array.from(bytes));
  } catch {
    return undefined;
  }
}

/** Whether a decoder, or one of a Sequence of them, is of that type. */
function has(definition: unknown, type: string): boolean {
  if (typeof definition !== "object" || definition === null) return false;
  const { type: own, decoders } = definition as { type?: unknown; decoders?: unknown };
  return own === type || (Array.isArray(decoders) && decoders.some((part) => has(part, type)));
}
