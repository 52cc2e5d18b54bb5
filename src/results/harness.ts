import { resolve } from "node:path";
import type { TaskRecord, TaskResults } from "../task-evaluation/evaluate-tasks.js";
import type { PreparedTasks } from "../task-evaluation/prepare.js";
import { metricsOf, type TaskSummary } from "../task-evaluation/summary.js";
import type { Task } from "../tasks/task.js";
import type { EnvironmentRecord } from "./environment.js";
import { delimiterOf, FILTER, generationArguments, harnessSample, type Side, sha256 } from "./harness-sample.js";
import type { ModelRecord } from "./model-record.js";
import { pythonFloat } from "./python-repr.js";

/**
 * Results as lm-evaluation-harness 0.4.13 writes them (`--output_path`, `--log_samples`), for scripts that read those: keys,
 * shapes, names of files and hashes are its own. Source: its evaluator.py and loggers/evaluation_tracker.py.
 */

/** The version whose layout this is. */
const LAYOUT = "0.4.13";
/** Bytes; common file systems take 255. */
const MAX_FOLDER_NAME = 240;

/** What an evaluation says of itself. */
export interface HarnessHead {
  /** When it began: ISO 8601, UTC. */
  readonly date: string;
  readonly model: ModelRecord;
  readonly base: ModelRecord | null;
  readonly environment: EnvironmentRecord;
  /** By stage; `tasks` is taken. */
  readonly seconds: Readonly<Record<string, number>>;
}

/** The tasks that were put, and how their models read. */
export type HarnessTasks = Pick<PreparedTasks, "chatTemplate" | "maxTokens"> & {
  readonly tokenizer: Pick<PreparedTasks["tokenizer"], "bosId" | "eosId" | "tokenText">;
  readonly tasks: readonly { readonly task: Task }[];
};

export interface HarnessFile {
  /** The model's name. */
  readonly folder: string;
  readonly name: string;
  readonly text: string;
}

/** `results_<date>.json` and for each task `samples_<task>_<date>.jsonl`: one set of files for each model. */
export function harnessFiles(head: HarnessHead, results: TaskResults, tasks: HarnessTasks): HarnessFile[] {
  const filesOf = (model: ModelRecord, folder: string, side: Side) => {
    const samples = samplesFiles(head, folder, side, results, tasks);
    const summary = summaryOf(head, model, folder, side, results, tasks, samples.hashes);
    const name = `results_${fileDate(head)}.json`;
    return [{ folder, name, text: `${JSON.stringify(summary, null, 2)}\n` }, ...samples.files];
  };
  const name = folderName(head.model.path);
  const files = filesOf(head.model, name, "compressed");
  if (!head.base) return files;
  const baseName = folderName(head.base.path);
  return [...filesOf(head.base, baseName === name ? `${name}__base` : baseName, "base"), ...files];
}

function samplesFiles(head: HarnessHead, folder: string, side: Side, results: TaskResults, { tasks }: HarnessTasks) {
  const hashes: Record<string, string> = {};
  const files = tasks.map(({ task }): HarnessFile => {
    const { name } = task;
    const items = results.items.filter((item) => item.task === name);
    const lines = items.map((item) => harnessSample(item, side, task, results.records[name]!));
    hashes[name] = sha256(lines.map((line) => line.doc_hash + line.prompt_hash + line.target_hash).join(""));
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
    return { folder, name: `samples_${name}_${fileDate(head)}.jsonl`, text };
  });
  return { files, hashes };
}

function summaryOf(
  { environment, date, seconds }: HarnessHead,
  model: ModelRecord,
  folder: string,
  side: Side,
  { summary, records }: TaskResults,
  { tasks, tokenizer, maxTokens, chatTemplate }: HarnessTasks,
  hashes: Readonly<Record<string, string>>,
) {
  const byTask = <T>(value: (task: Task, record: TaskRecord) => T): Record<string, T> =>
    Object.fromEntries(tasks.map(({ task }) => [task.name, value(task, records[task.name]!)]));
  const all = tasks.map(({ task }) => records[task.name]!);
  const { seed, limit } = all[0]!;
  const system = all.find(({ systemPrompt }) => systemPrompt !== null)?.systemPrompt ?? null;
  const template = all.some(({ chat }) => chat) ? (chatTemplate ?? null) : null;
  const token = (id: number | undefined) => (id === undefined ? null : tokenizer.tokenText(id));
  return {
    results: byTask(({ name }, { items }) => ({
      name,
      alias: name,
      sample_len: items,
      ...scores(summary[name]!, side),
    })),
    group_subtasks: {},
    configs: byTask((task, record) => configOf(task, record, model)),
    versions: byTask(({ version }) => version),
    "n-shot": byTask((_, { fewShot }) => fewShot),
    higher_is_better: byTask(({ metrics }) => Object.fromEntries(metrics.map((metric) => [metric, true]))),
    "n-samples": byTask((_, { rows, items }) => ({ original: rows, effective: items })),
    config: {
      model: "pare",
      model_args: { pretrained: model.path, engine: environment.engine, dtype: environment.precision },
      model_dtype: environment.precision,
      model_sha: model.sha256,
      batch_size: null,
      batch_sizes: [],
      device: environment.device ?? "cpu",
      use_cache: null,
      limit,
      bootstrap_iters: 0,
      gen_kwargs: {},
      random_seed: seed,
      numpy_seed: seed,
      torch_seed: seed,
      fewshot_seed: seed,
    },
    git_hash: null,
    date: Date.parse(date) / 1000,
    pretty_env_info: Object.entries(environment)
      .map(([key, value]) => `${key}: ${value}`)
      .join("\n"),
    transformers_version: "N/A",
    lm_eval_version: LAYOUT,
    upper_git_hash: null,
    tokenizer_pad_token: [null, "None"], // nothing is ever padded
    tokenizer_eos_token: [token(tokenizer.eosId), String(tokenizer.eosId ?? "None")],
    tokenizer_bos_token: [token(tokenizer.bosId), String(tokenizer.bosId ?? "None")],
    eot_token_id: tokenizer.eosId ?? null,
    max_length: maxTokens,
    task_hashes: hashes,
    model_source: "pare",
    model_name: model.path,
    model_name_sanitized: folder,
    system_instruction: system,
    system_instruction_sha: system === null ? null : sha256(system),
    fewshot_as_multiturn: template === null ? null : false,
    chat_template: template,
    chat_template_sha: template === null ? null : sha256(template),
    total_evaluation_time_seconds: pythonFloat(seconds["tasks"] ?? 0),
  };
}

function scores(summary: TaskSummary, side: Side): Record<string, number | string | null> {
  return Object.fromEntries(
    metricsOf(summary).flatMap(([metric, figures]) => [
      [`${metric},${FILTER}`, figures[side]],
      [`${metric}_stderr,${FILTER}`, figures[`${side}StandardError`] ?? "N/A"],
    ]),
  );
}

/** The task as a configuration of lm-evaluation-harness: for the reader, since data and answers are found otherwise there. */
function configOf(task: Task, record: TaskRecord, model: ModelRecord) {
  const doc_to_text = (record.chat ? task.chat_prompt : undefined) ?? task.prompt;
  const doc_to_target = task.kind === "choice" ? task.gold : task.target;
  const doc_to_choice = task.kind === "choice" ? task.choices : undefined;
  const delimiters = { target_delimiter: delimiterOf(record), fewshot_delimiter: task.few_shot.separator };
  return {
    task: task.name,
    dataset_path: record.files[0]!.path,
    test_split: "test",
    doc_to_text,
    doc_to_target,
    unsafe_code: false,
    doc_to_choice,
    description: task.description,
    ...delimiters,
    fewshot_config: {
      sampler: "default",
      split: null,
      process_docs: null,
      fewshot_indices: null,
      samples: null,
      doc_to_text,
      doc_to_choice: doc_to_choice ?? null,
      doc_to_target,
      gen_prefix: null,
      ...delimiters,
    },
    num_fewshot: record.fewShot,
    metric_list: task.metrics.map((metric) => ({ metric, aggregation: "mean", higher_is_better: true })),
    output_type: OUTPUT_TYPES[task.kind],
    generation_kwargs: task.kind === "generate" ? generationArguments(task, record) : undefined,
    repeats: 1,
    should_decontaminate: false,
    metadata: {
      version: task.version,
      pretrained: model.path,
      config_source: task.file.path,
      dataset_sha256: record.files[0]!.sha256,
    },
  };
}

const OUTPUT_TYPES: Readonly<Record<Task["kind"], string>> = {
  generate: "generate_until",
  choice: "multiple_choice",
  "last-word": "loglikelihood",
};

/** The harness's name for a model's folder; never one that leads elsewhere, and never too long to be made. */
function folderName(path: string): string {
  const name = (/^\.+$/.test(path) ? resolve(path) : path).replace(/["<>:/|\\?*[\]]+/g, "__");
  return Buffer.from(name).subarray(-MAX_FOLDER_NAME).toString();
}

/** 2026-11-21T13-56-22.713000, as Python's datetime has it. */
function fileDate({ date }: HarnessHead): string {
  return `${new Date(date).toISOString().slice(0, -1)}000`.replaceAll(":", "-");
}
