import { InputError } from "../errors.js";

/** Deepest nesting of a JSON file that pare reads; Hugging Face's configs stay below 10. */
const MAX_JSON_DEPTH = 64;

/** Longest name that an error message repeats. */
const MAX_QUOTED = 200;

/** A name from an untrusted file, made safe and short for a message on a terminal. */
export function quote(name: string): string {
  const short = name.length > MAX_QUOTED ? `${name.slice(0, MAX_QUOTED)}…` : name;
  return JSON.stringify(short).replace(
    /[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * The JSON object in `bytes`. Throws InputError naming `path` for anything else, for nesting too deep, and for a
 * key that stands twice in one object: of such, readers silently take either one.
 */
export function parseJsonObject(bytes: Uint8Array, path: string): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new InputError(`${path}: JSON that is not UTF-8; save it as UTF-8 or download it again`, { cause });
  }
  scan(text, path);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new InputError(`${path}: not valid JSON; download or save it again`, { cause });
  }
  if (!isObject(value)) throw new InputError(`${path}: JSON, but not an object {...}; download or save it again`);
  return value;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Checks depth and keys of what JSON.parse is going to read; text that is no JSON may pass. */
function scan(text: string, path: string): void {
  const levels: (Set<string> | undefined)[] = []; // the keys seen of every open object; undefined for an array
  let literal: string | undefined;
  for (let i = 0; i < text.length; i++) {
    switch (text[i]) {
      case '"': {
        const end = endOfString(text, i);
        literal = text.slice(i, end);
        i = end - 1;
        break;
      }
      case "{":
      case "[":
        levels.push(text[i] === "{" ? new Set() : undefined);
        if (levels.length > MAX_JSON_DEPTH) {
          throw new InputError(`${path}: JSON nested deeper than ${MAX_JSON_DEPTH} levels; no checkpoint needs that`);
        }
        break;
      case "}":
      case "]":
        levels.pop();
        break;
      case ":": {
        const keys = levels.at(-1);
        const key = literal === undefined ? undefined : unescaped(literal);
        if (keys === undefined || key === undefined) break;
        if (keys.has(key)) throw new InputError(`${path}: ${quote(key)} stands twice in one object; remove one`);
        keys.add(key);
        break;
      }
    }
  }
}

/** The place after the string that begins at `start`. */
function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === '"') return i + 1;
  }
  return text.length;
}

/** The string of a JSON literal, or undefined if it is none: JSON.parse will say so. */
function unescaped(literal: string): string | undefined {
  if (!literal.includes("\\")) return literal.slice(1, -1);
  try {
    return JSON.parse(literal) as string;
  } catch {
    return undefined;
  }
}
