import { join } from "node:path";
import { isObject } from "../checkpoint/json.js";
import { readModelFile, readModelJson } from "../checkpoint/model-file.js";
import { InputError } from "../errors.js";
import { compileTemplate } from "../text/template.js";

export interface ChatMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** How a model wants a conversation written. */
export interface ChatTemplate {
  /** Its Jinja text. */
  readonly source: string;
  /**
   * The conversation as one text, special tokens written out; `addGenerationPrompt` adds the beginning of the assistant's
   * answer. Throws InputError where the template refuses the conversation (some know no system message) or fails.
   */
  apply(messages: readonly ChatMessage[], options: { addGenerationPrompt: boolean }): string;
}

const MAX_TEMPLATE_BYTES = 4 * 1024 * 1024;
/** The longest tokenizer_config.json in use, with thousands of added tokens, have some 2 MB. */
const MAX_CONFIG_BYTES = 64 * 1024 * 1024;

/**
 * The chat template of a model folder, or undefined where it has none: chat_template.jinja, else chat_template.json, else
 * `chat_template` of tokenizer_config.json (of several, the one named "default"), with the variables that transformers gives:
 * `messages`, `add_generation_prompt`, the special tokens by name, `tools` and `documents` as None. Throws InputError where
 * a file is malformed or the template is no Jinja. A template may write the date: its prompts then change from day to day.
 */
export async function loadChatTemplate(directory: string): Promise<ChatTemplate | undefined> {
  const config = (await readModelJson(directory, "tokenizer_config.json", MAX_CONFIG_BYTES)) ?? {};
  const found =
    (await readTemplateFile(directory)) ??
    templateIn(
      (await readModelJson(directory, "chat_template.json", MAX_CONFIG_BYTES)) ?? {},
      join(directory, "chat_template.json"),
    ) ??
    templateIn(config, join(directory, "tokenizer_config.json"));
  if (!found) return undefined;
  const template = compileTemplate(found.source, found.where, "chat");
  const map = (await readModelJson(directory, "special_tokens_map.json", MAX_CONFIG_BYTES)) ?? {};
  const tokens = { ...specialTokens(map), ...specialTokens(config) };
  return {
    source: found.source,
    apply(messages, { addGenerationPrompt }) {
      return template.render({
        ...tokens,
        messages: messages.map(({ role, content }) => ({ role, content })),
        add_generation_prompt: addGenerationPrompt,
        tools: null,
        documents: null,
        raise_exception: (message: unknown) => {
          throw new Error(`it refuses the conversation: ${String(message)}`);
        },
        strftime_now: (format: unknown) => strftime(new Date(), String(format)),
      });
    },
  };
}

interface Found {
  readonly source: string;
  readonly where: string;
}

async function readTemplateFile(directory: string): Promise<Found | undefined> {
  const name = "chat_template.jinja";
  const bytes = await readModelFile(directory, name, MAX_TEMPLATE_BYTES);
  return bytes && { source: new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes), where: join(directory, name) };
}

function templateIn(config: Readonly<Record<string, unknown>>, file: string): Found | undefined {
  const where = `${file}: chat_template`;
  const given = config["chat_template"];
  if (given === undefined || given === null) return undefined;
  if (typeof given === "string") return { source: given, where };
  if (!Array.isArray(given)) throw malformed(where);
  const named = new Map<string, string>();
  for (const entry of given as readonly unknown[]) {
    if (!isObject(entry) || typeof entry["name"] !== "string" || typeof entry["template"] !== "string") {
      throw malformed(where);
    }
    named.set(entry["name"], entry["template"]);
  }
  const source = named.get("default");
  if (source !== undefined) return { source, where: `${where} "default"` };
  throw new InputError(`${where}: none of its ${named.size} templates is named "default"; name one so`);
}

function malformed(where: string): InputError {
  return new InputError(`${where}: must be text, or a list of {"name": text, "template": text}`);
}

/** `bos_token` and all others that are named so, and the names in `extra_special_tokens`. */
function specialTokens(config: Readonly<Record<string, unknown>>): Record<string, string> {
  const extra = config["extra_special_tokens"];
  const entries = [
    ...Object.entries(config).filter(([name]) => name.endsWith("_token")),
    ...(isObject(extra) ? Object.entries(extra) : []),
  ];
  const tokens: Record<string, string> = {};
  for (const [name, token] of entries) {
    const text = isObject(token) ? token["content"] : token;
    if (typeof text === "string") tokens[name] = text;
  }
  return tokens;
}

/** Python's strftime in the C locale, local time; `-` after the % drops leading zeros. Throws a plain Error for a letter unknown here. */
function strftime(date: Date, format: string): string {
  const named = (options: Intl.DateTimeFormatOptions) => date.toLocaleString("en-US", options);
  const digits = (value: number, length: number) => String(value).padStart(length, "0");
  const year = date.getFullYear();
  const parts: Readonly<Record<string, () => string>> = {
    Y: () => String(year),
    y: () => digits(year % 100, 2),
    m: () => digits(date.getMonth() + 1, 2),
    B: () => named({ month: "long" }),
    b: () => named({ month: "short" }),
    d: () => digits(date.getDate(), 2),
    A: () => named({ weekday: "long" }),
    a: () => named({ weekday: "short" }),
    j: () =>
      digits(Math.round((Date.UTC(year, date.getMonth(), date.getDate()) - Date.UTC(year, 0, 0)) / 86_400_000), 3),
    H: () => digits(date.getHours(), 2),
    I: () => digits(date.getHours() % 12 || 12, 2),
    p: () => (date.getHours() < 12 ? "AM" : "PM"),
    M: () => digits(date.getMinutes(), 2),
    S: () => digits(date.getSeconds(), 2),
    "%": () => "%",
  };
  return format.replace(/%(-?)(.)/g, (directive, minus: string, letter: string) => {
    const part = Object.hasOwn(parts, letter) ? parts[letter] : undefined;
    if (!part) throw new Error(`strftime_now() does not know ${directive}`);
    return minus ? part().replace(/^0+(?=.)/, "") : part();
  });
}
