import type { z } from "zod";
import { isObject, quote } from "../checkpoint/json.js";
import { InputError } from "../errors.js";
import { nearest } from "./nearest.js";
import type { YamlFile } from "./yaml.js";

type Path = readonly PropertyKey[];
type Issue = z.core.$ZodIssue;

/** A file that people write, as errors name it: `study.yaml` and `a study`. */
interface Named {
  readonly title: string;
  readonly what: string;
}

/** The content as the schema makes it. Throws InputError naming file, line and key, and what is wrong there. */
export function checkedYaml<T extends z.ZodType>(
  { content, lineOf }: Pick<YamlFile, "content"> & { readonly lineOf: (path: Path) => number | undefined },
  { title, what }: Named,
  schema: T,
): z.infer<T> {
  const fail = (path: Path, problem: string) => yamlError(title, lineOf(path), path, problem);
  const result = schema.safeParse(content);
  if (result.success) return result.data;
  const issues = result.error.issues.map(innermost);
  // A misspelt key is missing under its right name as well.
  const issue = issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0]!;
  if (issue.code === "unrecognized_keys") {
    const [key = ""] = issue.keys;
    throw fail([...issue.path, key], `${what} has no such key here${didYouMean(key, keysAt(schema, issue.path))}`);
  }
  const given = issue.path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown>)?.[key], content);
  if (given === undefined) throw fail(issue.path, "is missing");
  if (issue.code === "invalid_value") throw fail(issue.path, notOneOf(given, issue.values.map(String)));
  if (issue.code === "invalid_type" && issue.message.startsWith("Invalid input")) {
    throw fail(issue.path, `${quote(String(given))} is no ${WORDS[issue.expected] ?? issue.expected}`);
  }
  throw fail(issue.path, issue.message);
}

/** What stands in a YAML file, as its authors call it. */
const WORDS: Readonly<Record<string, string>> = {
  array: "list, such as [a, b]",
  object: "group of keys with values",
  record: "group of keys with values",
  string: "text",
  int: "whole number",
  boolean: "true or false",
};

/** What is wrong at a place of a YAML file, or on the command line where there is no line, in one line. */
export function yamlError(title: string, line: number | undefined, path: Path, problem: string): InputError {
  const where = line === undefined ? "on the command line" : `${title}: line ${line}`;
  return new InputError(`${where}: ${path.length > 0 ? `${pathText(path)}: ` : ""}${problem}`);
}

/** That a value is none of a few, and which of them is meant. */
export function notOneOf(given: unknown, allowed: readonly string[]): string {
  return `${quote(String(given))} is not one of ${allowed.join(", ")}${didYouMean(String(given), allowed)}`;
}

function didYouMean(word: string, words: readonly string[]): string {
  const close = nearest(word, words);
  return close === undefined ? "" : ` (did you mean ${close}?)`;
}

/** What is wrong inside the one alternative whose type fits, or with the one word of several; else the whole. */
function innermost(issue: Issue): Issue {
  if (issue.code !== "invalid_union") return issue;
  const fitting = issue.errors.filter(([first]) => first && !(first.path.length === 0 && isMismatch(first.code)));
  const words = issue.errors.filter(([first]) => first?.code === "invalid_value" && first.path.length === 0);
  const [branch] = fitting.length > 0 ? fitting : words;
  if (fitting.length > 1 || !branch) return issue;
  const chosen = branch.find(({ code }) => code === "unrecognized_keys") ?? branch[0]!;
  return innermost({ ...chosen, path: [...issue.path, ...chosen.path] });
}

function isMismatch(code: Issue["code"]): boolean {
  return code === "invalid_type" || code === "invalid_value";
}

/** The keys that a schema knows at a path: of the objects that may stand there. */
function keysAt(schema: z.core.$ZodType, path: Path): string[] {
  const { def } = schema._zod as { def: z.core.$ZodTypes["_zod"]["def"] };
  switch (def.type) {
    case "default":
    case "prefault":
    case "optional":
    case "nullable":
      return keysAt(def.innerType, path);
    case "pipe":
      return keysAt(def.in, path);
    case "union":
      return def.options.flatMap((option) => keysAt(option, path));
    case "array":
      return path.length === 0 ? [] : keysAt(def.element, path.slice(1));
    case "object": {
      const [first, ...rest] = path;
      if (first === undefined) return Object.keys(def.shape);
      const inner = isObject(def.shape) ? def.shape[String(first)] : undefined;
      return inner ? keysAt(inner, rest) : [];
    }
    default:
      return [];
  }
}

/** `data.test[0].file` */
function pathText(path: Path): string {
  return path
    .map((key, i) => (typeof key === "number" ? `[${key}]` : `${i > 0 ? "." : ""}${short(String(key))}`))
    .join("");
}

/** A key as it is where it looks like one. */
function short(key: string): string {
  return /^[\w-]{1,64}$/.test(key) ? key : quote(key);
}
