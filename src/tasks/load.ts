import { readdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { isObject, quote } from "../checkpoint/json.js";
import { decodeUtf8, readBytes } from "../data/bytes.js";
import { InputError } from "../errors.js";
import { nearest } from "../text/nearest.js";
import { FEW_SHOT_KEYS, type TaskDefinition, taskSchemas } from "./schema.js";
import { TASK_KINDS, type Task, type TaskKind } from "./task.js";
import { parseYaml, type YamlFile } from "./yaml.js";

const MAX_TASK_BYTES = 256 * 1024;
const ENDING = /\.ya?ml$/;

const builtInFolder = fileURLToPath(new URL("./builtin/", import.meta.url));

/** The names of the tasks that come with pare, in alphabetical order. */
export async function builtInTaskNames(): Promise<string[]> {
  const files = await readdir(builtInFolder);
  return files
    .filter((file) => ENDING.test(file))
    .map((file) => file.replace(ENDING, ""))
    .sort();
}

/**
 * A task by its built-in name, or from a file that ends in .yaml or .yml. Throws InputError naming file, line and key, and
 * what is wrong there.
 */
export async function loadTask(name: string, signal?: AbortSignal): Promise<Task> {
  if (ENDING.test(name)) {
    const info = await stat(name).catch(() => undefined);
    if (!info?.isFile()) throw new InputError(`${name}: no such task file`);
    return readTask(name, name, dirname(name), info.size, signal);
  }
  const names = await builtInTaskNames();
  if (!names.includes(name)) {
    const close = nearest(name, names);
    throw new InputError(
      `task ${quote(name)}: there is no such built-in task${close ? ` (did you mean ${close}?)` : ""}; ` +
        `there are: ${names.join(", ")}; your own is a file that ends in .yaml`,
    );
  }
  const path = `${builtInFolder}${name}.yaml`;
  return readTask(path, `task ${name}`, undefined, (await stat(path)).size, signal);
}

/** `title` is what errors call the file. */
async function readTask(
  path: string,
  title: string,
  folder: string | undefined,
  size: number,
  signal: AbortSignal | undefined,
): Promise<Task> {
  if (size > MAX_TASK_BYTES)
    throw new InputError(`${title}: ${size} bytes, more than the ${MAX_TASK_BYTES} of a task file`);
  const reader = readBytes(path, signal);
  const yaml = parseYaml(decodeUtf8(await reader.whole(), title), title);
  return {
    ...checkTask(yaml, title),
    file: { path, sha256: reader.sha256() },
    folder,
    locate: (key) => `${title}: line ${yaml.lineOf(key.split("."))}: ${key}`,
  };
}

function checkTask({ content, lineOf }: YamlFile, title: string): TaskDefinition {
  if (!isObject(content)) throw new InputError(`${title}: no task: it has to consist of keys, such as "name: ..."`);
  const fail = (path: readonly PropertyKey[], what: string): InputError =>
    new InputError(`${title}: line ${lineOf(path)}: ${path.length > 0 ? `${pathText(path)}: ` : ""}${what}`);
  const { kind } = content;
  if (!isKind(kind)) throw fail(["kind"], kind === undefined ? "is missing" : notOneOf(kind, TASK_KINDS));
  const schema = taskSchemas[kind];
  const result = schema.safeParse(content);
  if (result.success) return result.data;
  const { issues } = result.error;
  // A misspelt key is missing under its right name as well.
  const issue = issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0]!;
  if (issue.code === "unrecognized_keys") {
    const [key = ""] = issue.keys;
    const close = nearest(key, keysAt(issue.path, Object.keys(schema.shape)));
    const hint = close === undefined ? "" : ` (did you mean ${close}?)`;
    throw fail([...issue.path, key], `a task of kind ${kind} has no such key here${hint}`);
  }
  const given = issue.path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown>)[key], content);
  if (given === undefined) throw fail(issue.path, "is missing");
  if (issue.code === "invalid_value") throw fail(issue.path, notOneOf(given, issue.values.map(String)));
  throw fail(issue.path, issue.message);
}

function keysAt(path: readonly PropertyKey[], topLevel: readonly string[]): readonly string[] {
  if (path.length === 0) return topLevel;
  return path.length === 1 && path[0] === "few_shot" ? FEW_SHOT_KEYS : [];
}

function notOneOf(given: unknown, allowed: readonly string[]): string {
  const close = nearest(String(given), allowed);
  const hint = close === undefined ? "" : ` (did you mean ${close}?)`;
  return `${quote(String(given))} is not one of ${allowed.join(", ")}${hint}`;
}

/** `data.test[0].file` */
function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((key, i) => (typeof key === "number" ? `[${key}]` : `${i > 0 ? "." : ""}${short(String(key))}`))
    .join("");
}

/** A key as it is where it looks like one. */
function short(key: string): string {
  return /^[\w-]{1,64}$/.test(key) ? key : quote(key);
}

function isKind(kind: unknown): kind is TaskKind {
  return (TASK_KINDS as readonly unknown[]).includes(kind);
}
