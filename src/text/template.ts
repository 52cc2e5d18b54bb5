import { InputError } from "../errors.js";
import { parse, type Token, tokenize } from "./jinja.js";
import { oneLine } from "./one-line.js";
import { analyse, type Program, render } from "./render.js";
import { withinTime } from "./time-limit.js";

/** A Jinja template, ready to be rendered any number of times. */
export interface CompiledTemplate {
  /**
   * The text with these variables: plain data (text, numbers, booleans, null, lists, records) and functions of plain data. Throws
   * InputError where the template fails, takes too long or makes too much.
   */
  render(variables: Readonly<Record<string, unknown>>): string;
}

/**
 * How a template is read. `prompt`, as lm-evaluation-harness does: the text stays as it is, the newline at its end too, and an
 * unknown variable is an error. `chat`, as transformers does: a block's line leaves no indentation and no newline
 * (lstrip_blocks, trim_blocks), one newline at the end goes, and unknown variables are empty.
 */
export type TemplateDialect = "prompt" | "chat";

/** The longest chat templates in use have some 20,000 characters. */
const MAX_TEMPLATE_LENGTH = 2 ** 20;
/** A rendering takes milliseconds; this also holds on a machine that is busy. */
const MAX_MILLISECONDS = 2_000;
/** Longest message of a template or of the package that is repeated. */
const MAX_MESSAGE = 300;

/**
 * Compiles a Jinja template; `where` names it in errors (file, and key if the file has several). Throws InputError with the line
 * where the template is no Jinja. No template can reach JavaScript: variables are copied into the interpreter's own
 * values, whose attributes are looked up in Maps, and no code is generated.
 *
 * The interpreter is the npm package @huggingface/jinja. Where it differs from Python's Jinja silently, this folder corrects it
 * (comparisons, strip and its kin, what None, True and False print as, line ends) or makes it an error (printing a list).
 */
export function compileTemplate(source: string, where: string, dialect: TemplateDialect = "prompt"): CompiledTemplate {
  if (source.length > MAX_TEMPLATE_LENGTH) {
    throw new InputError(
      `${where}: a template of ${source.length} characters is over the limit of ${MAX_TEMPLATE_LENGTH}`,
    );
  }
  const program = compile(source.replace(/\r\n?/g, "\n"), where, dialect);
  return {
    render(variables) {
      let text: string | undefined;
      try {
        text = withinTime(MAX_MILLISECONDS, () => render(program, variables, dialect === "prompt"));
      } catch (error) {
        throw new InputError(`${where}: the template fails: ${messageOf(error)}`, { cause: error });
      }
      if (text === undefined) throw tooSlow(where);
      return text;
    },
  };
}

type Read = (source: string) => Token[];

function compile(source: string, where: string, dialect: TemplateDialect): Program {
  const isChat = dialect === "chat";
  const read: Read = (text) => tokenize(text, { trim_blocks: isChat, lstrip_blocks: isChat });
  // The package drops one newline at the end: one more keeps it.
  const text = !isChat && source.endsWith("\n") ? `${source}\n` : source;
  let program: Program | undefined;
  try {
    program = withinTime(MAX_MILLISECONDS, () => analyse(parse(read(text))));
  } catch (error) {
    const line = withinTime(MAX_MILLISECONDS, () => lineOfError(text, read) ?? null);
    // The parser goes on reading after the last token.
    const what = error instanceof TypeError ? "it ends too early, without an end tag or bracket" : messageOf(error);
    throw new InputError(`${where}: not a valid template${line ? `, line ${line}` : ""}: ${what}`, { cause: error });
  }
  if (program === undefined) throw tooSlow(where);
  return program;
}

/** The package's errors name no place: the line is found by reading the first lines alone. Undefined where that tells nothing. */
function lineOfError(text: string, read: Read): number | undefined {
  const lines = text.split("\n");
  const complaint = (count: number): string | undefined => {
    try {
      read(lines.slice(0, count).join("\n"));
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  };
  const whole = complaint(lines.length);
  if (whole !== undefined) {
    // Tags are read from left to right: what is wrong stays wrong, whatever follows.
    let line = lines.length;
    while (line > 1 && complaint(line - 1) === whole) line--;
    return line;
  }
  const tokens = read(text);
  const last = lastTokenRead(tokens);
  if (last >= tokens.length) return undefined;
  const reaches = (count: number) =>
    complaint(count) === undefined && read(lines.slice(0, count).join("\n")).length > last;
  return lines.findIndex((_, i) => reaches(i + 1)) + 1 || undefined;
}

/** The index of the last token that the parser asks for before it gives up. */
function lastTokenRead(tokens: Token[]): number {
  let last = 0;
  const watched = new Proxy(tokens, {
    get(target, key) {
      if (typeof key === "string" && /^\d+$/.test(key)) last = Math.max(last, Number(key));
      return Reflect.get(target, key);
    },
  });
  try {
    parse(watched);
  } catch {
    // It fails: that is why it is watched.
  }
  return last;
}

function tooSlow(where: string): InputError {
  return new InputError(`${where}: the template takes more than ${MAX_MILLISECONDS} ms; does it loop for ever?`);
}

/** What went wrong, in one short line: a template may say anything in its own errors. */
function messageOf(error: unknown): string {
  const line = oneLine(error);
  if (/call stack/.test(line)) return "it is nested too deeply";
  return line.length > MAX_MESSAGE ? `${line.slice(0, MAX_MESSAGE)}...` : line;
}
