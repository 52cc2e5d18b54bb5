import { stat } from "node:fs/promises";
import { basename, extname, join, resolve } from "node:path";
import type { Device, Precision } from "../engine/engine.js";
import { InputError } from "../errors.js";
import { isFile } from "../files.js";
import { DEFAULT_REVISION, parseModelFile, parseModelName } from "../hub/names.js";
import type { StudyFile } from "./schema.js";

/** A study with every short form and every default written out, and files named from where pare runs. */
export interface StudyDefinition {
  readonly name: string;
  readonly models: readonly { readonly name: string; readonly path: string }[];
  readonly methods: readonly { readonly name: string; readonly options: Readonly<Record<string, unknown>> }[];
  readonly sparsities: readonly number[];
  readonly patterns: readonly string[];
  readonly calibration: readonly CalibrationSource[];
  readonly seeds: readonly number[];
  readonly only: readonly string[];
  readonly skip: readonly string[];
  readonly data: readonly DataSource[];
  readonly tasks: readonly TaskChoice[];
  readonly chat: "auto" | "on" | "off";
  readonly systemPrompt: string | null;
  readonly noiseFloor: boolean;
  readonly perToken: boolean;
  readonly sample: boolean;
  readonly blocks: boolean;
  readonly budget: {
    readonly jsd: number | null;
    readonly perplexityRatio: number | null;
    readonly taskLoss: number | null;
  };
  readonly keep: "none" | "all";
  readonly engine: string | null;
  readonly device: Device | null;
  readonly precision: Precision | null;
  readonly threads: number | null;
}

export interface CalibrationSource {
  readonly name: string;
  readonly source: string;
  readonly samples: number | null;
  readonly sequenceLength: number | null;
  readonly sampling: "default" | "reference";
}

interface DataSource {
  readonly name: string;
  readonly source: string;
  readonly sequenceLength: number | null;
  readonly windows: number | null;
}

interface TaskChoice {
  readonly task: string;
  readonly limit: number | null;
  readonly fewShot: number | null;
  readonly maxNewTokens: number | null;
}

/** Endings of data files that do not help to tell sources apart. */
const FILE_ENDING = /(\.(jsonl?|txt|raw|parquet|gz))+$/;

/**
 * Writes a study file out. Names of files are relative to `folder`, the study file's own; a data source is a file where
 * there is one of that name, and a model its folder where there is one, else `org/name` of the hub. Throws InputError where two sources or models have one name.
 */
export async function defineStudy(file: StudyFile, fileName: string, folder: string): Promise<StudyDefinition> {
  const local = (path: string) => (resolve(path) === path ? path : join(folder, path));
  const sourceOf = async (name: string) => {
    return (await isFile(local(name))) ? local(name) : name;
  };
  const { limit = null, few_shot: fewShot = null, max_new_tokens: maxNewTokens = null } = file;
  const definition: StudyDefinition = {
    name: file.name ?? fileName,
    models: await Promise.all(
      file.models.map(async (entry) => {
        const { path, name } = typeof entry === "string" ? { path: entry, name: undefined } : entry;
        const isThere = (await stat(local(path)).catch(() => undefined)) !== undefined;
        const onHub = isThere ? undefined : parseModelName(path);
        if (!isThere && parseModelFile(path)) return { name: name ?? lastName(path), path };
        if (!onHub) {
          const whole = resolve(local(path));
          // One that is not there is named in full: `a/b` alone would be taken for a model of the hub.
          return { name: name ?? lastName(whole), path: isThere ? local(path) : whole };
        }
        const revision = onHub.revision === DEFAULT_REVISION ? "" : `-${onHub.revision.replaceAll("/", "-")}`;
        return { name: name ?? lastName(onHub.name + revision), path };
      }),
    ),
    methods: file.methods.map((entry) =>
      typeof entry === "string" ? { name: entry, options: {} } : { name: entry.name, options: entry.options ?? {} },
    ),
    sparsities: file.sparsities,
    patterns: file.patterns,
    calibration: await Promise.all(
      file.calibration.map(async (entry) => {
        const own = typeof entry === "string" ? { source: entry } : entry;
        return {
          name: own.name ?? lastName(own.source),
          source: await sourceOf(own.source),
          samples: own.samples ?? file.samples ?? null,
          sequenceLength: own.sequence_length ?? file.sequence_length ?? null,
          sampling: own.sampling ?? "default",
        };
      }),
    ),
    seeds: file.seeds,
    only: file.only,
    skip: file.skip,
    data: await Promise.all(
      file.data.map(async (entry) => {
        const own = typeof entry === "string" ? { source: entry } : entry;
        return {
          name: own.name ?? lastName(own.source),
          source: await sourceOf(own.source),
          sequenceLength: own.sequence_length ?? file.sequence_length ?? null,
          windows: own.windows ?? null,
        };
      }),
    ),
    tasks: file.tasks.map((entry) => {
      const own = typeof entry === "string" ? { task: entry } : entry;
      return {
        task: extname(own.task).match(/^\.ya?ml$/) ? local(own.task) : own.task,
        limit: own.limit ?? limit,
        fewShot: own.few_shot ?? fewShot,
        maxNewTokens: own.max_new_tokens ?? maxNewTokens,
      };
    }),
    chat: file.chat,
    systemPrompt: file.system_prompt ?? null,
    noiseFloor: file.noise_floor,
    perToken: file.per_token,
    sample: file.sample,
    blocks: file.blocks,
    budget: {
      jsd: file.budget?.jsd ?? null,
      perplexityRatio: file.budget?.perplexity_ratio ?? null,
      taskLoss: file.budget?.task_loss ?? null,
    },
    keep: file.keep,
    engine: file.engine ?? null,
    device: file.device ?? null,
    precision: file.precision ?? null,
    threads: file.threads ?? null,
  };
  checkNames("models", definition.models);
  checkNames("calibration", definition.calibration);
  checkNames("data", definition.data);
  return definition;
}

/** `wikitext2`, or a file's name without folder and ending; what would not do in a file's name is replaced. */
function lastName(source: string): string {
  const name = basename(source)
    .replace(FILE_ENDING, "")
    .replace(/[^\w.+-]/g, "-");
  return /^[A-Za-z0-9]/.test(name) ? name.slice(0, 64) : `x${name}`.slice(0, 64);
}

function checkNames(key: string, entries: readonly { readonly name: string }[]): void {
  const seen = new Set<string>();
  for (const { name } of entries) {
    const folded = name.toLowerCase(); // files are named by it, also where upper and lower case are one
    if (seen.has(folded)) {
      throw new InputError(`${key}: two entries are called ${name}; give one of them another name by "name: ..."`);
    }
    seen.add(folded);
  }
}
