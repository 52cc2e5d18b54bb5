import { readdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { isObject, quote } from "../checkpoint/json.js";
import { decodeUtf8, readBytes } from "../data/bytes.js";
import { InputError } from "../errors.js";
import { checkedYaml, notOneOf, yamlError } from "../text/checked-yaml.js";
import { nearest } from "../text/nearest.js";
import { parseYaml, type YamlFile } from "../text/yaml.js";
import { type TaskDefinition, taskSchemas } from "./schema.js";
import { TASK_KINDS, type Task, type TaskKind } from "./task.js";

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

function checkTask(yaml: YamlFile, title: string): TaskDefinition {
  const { content, lineOf } = yaml;
  if (!isObject(content)) throw new InputError(`${title}: no task: it has to consist of keys, such as "name: ..."`);
  const { kind } = content;
  if (!isKind(kind)) {
    throw yamlError(title, lineOf(["kind"]), ["kind"], kind === undefined ? "is missing" : notOneOf(kind, TASK_KINDS));
  }
  return checkedYaml<(typeof taskSchemas)[TaskKind]>(
    yaml,
    { title, what: `a task of kind ${kind}` },
    taskSchemas[kind],
  );
}

function isKind(kind: unknown): kind is TaskKind {
  return (TASK_KINDS as readonly unknown[]).includes(kind);
}
