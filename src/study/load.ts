import { stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { isObject } from "../checkpoint/json.js";
import { decodeUtf8, readBytes } from "../data/bytes.js";
import { InputError } from "../errors.js";
import { findMethod, parseMethodOptions } from "../methods/registry.js";
import { checkedYaml, yamlError } from "../text/checked-yaml.js";
import { parseYaml } from "../text/yaml.js";
import { defineStudy, type StudyDefinition } from "./definition.js";
import { type StudyFile, studySchema } from "./schema.js";

const MAX_STUDY_BYTES = 256 * 1024;

/** What the command line puts in place of the file's own lines; the names are the file's. */
export type StudyOverrides = { readonly [Key in keyof StudyFile]?: StudyFile[Key] | undefined };

/** Reads a study file. Throws InputError naming file, line and key, and what is wrong there; for what `overrides` says, the key. */
export async function loadStudy(
  path: string,
  overrides: StudyOverrides = {},
  signal?: AbortSignal,
): Promise<StudyDefinition> {
  const info = await stat(path).catch(() => undefined);
  if (!info?.isFile()) throw new InputError(`${path}: no such study file; pare init writes one to begin with`);
  if (info.size > MAX_STUDY_BYTES) {
    throw new InputError(`${path}: ${info.size} bytes, more than the ${MAX_STUDY_BYTES} of a study file`);
  }
  const yaml = parseYaml(decodeUtf8(await readBytes(path, signal).whole(), path), path);
  if (!isObject(yaml.content)) {
    throw new InputError(`${path}: no study: it has to consist of keys, such as "methods: [wanda]"`);
  }
  const given = Object.fromEntries(Object.entries(overrides).filter(([, value]) => value !== undefined));
  const content = withoutOverridden({ ...yaml.content, ...given }, given);
  const lineOf = (keys: readonly PropertyKey[]) => (keys[0]! in given ? undefined : yaml.lineOf(keys));
  const file = checkedYaml({ content, lineOf }, { title: path, what: "a study" }, studySchema);
  const fail = (key: keyof StudyFile, problem: string) => yamlError(path, lineOf([key]), [key], problem);
  for (const [i, method] of file.methods.entries()) {
    if (typeof method === "string") continue;
    try {
      parseMethodOptions(findMethod(method.name), method.options ?? {});
    } catch (error) {
      const keys = ["methods", i, "options"];
      throw yamlError(path, lineOf(keys), keys, (error as Error).message);
    }
  }
  if (file.sparsities.length === 0 && file.patterns.length === 0) {
    throw fail("sparsities", "is missing, and so is patterns: say how much is to go, such as sparsities: [0.5]");
  }
  if (file.data.length === 0 && file.tasks.length === 0) {
    throw fail("data", "is missing, and so is tasks: say what to measure, such as data: [wikitext2]");
  }
  const { jsd, perplexity_ratio, task_loss } = file.budget ?? {};
  if (file.data.length === 0 && (jsd ?? perplexity_ratio) !== undefined) {
    throw fail(
      "budget",
      `limits ${jsd === undefined ? "perplexity_ratio" : "jsd"}, which is measured on text: add data`,
    );
  }
  if (file.tasks.length === 0 && task_loss !== undefined) throw fail("budget", "limits task_loss: add tasks");
  if (file.data.length === 0 && file.blocks) throw fail("blocks", "measures on the first data source: add data");
  return defineStudy(file, basename(path).replace(/\.[^.]*$/, ""), dirname(path));
}

/** Lists whose entries may say for themselves what the study says for all. */
const OF_ENTRIES = {
  tasks: ["limit", "few_shot", "max_new_tokens"],
  calibration: ["samples", "sequence_length"],
  data: ["sequence_length"],
} as const;

/** What the command line says of all entries, it says of those that say something else, too. */
function withoutOverridden(
  content: Readonly<Record<string, unknown>>,
  given: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const lists = Object.entries(OF_ENTRIES).map(([list, keys]) => {
    const overridden = keys.filter((key) => key in given);
    const entries = content[list];
    const left = (entry: unknown) =>
      isObject(entry)
        ? Object.fromEntries(Object.entries(entry).filter(([key]) => !overridden.some((one) => one === key)))
        : entry;
    return [list, Array.isArray(entries) ? entries.map(left) : entries] as const;
  });
  return { ...content, ...Object.fromEntries(lists.filter(([list]) => list in content)) };
}
