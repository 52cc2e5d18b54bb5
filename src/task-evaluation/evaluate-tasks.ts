import type { Engine } from "../engine/engine.js";
import { InputError } from "../errors.js";
import type { Prompt } from "../generation/generate.js";
import type { Sampling } from "../generation/sampling.js";
import { createWeightStore } from "../generation/weights.js";
import type { Model } from "../model/model.js";
import type { OnProgress } from "../progress.js";
import type { Journal } from "../results/journal.js";
import { type LoadItemsOptions, loadItems, type TaskItems } from "../tasks/items.js";
import { loadTask } from "../tasks/load.js";
import type { Item, Task } from "../tasks/task.js";
import { type ChatTemplate, loadChatTemplate } from "../tokenizer/chat-template.js";
import type { EncodedPrompt } from "../tokenizer/prompt.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { answers, type Contestant } from "./answers.js";
import { type ContinuationFigures, continuationFigures } from "./continuations.js";
import { type Continuation, createEncoder, type Encoder, type PromptText } from "./encode.js";
import { chosenAnswer, generatedAnswer, type ItemResult, itemResult } from "./item-results.js";
import { availableMemory } from "./memory.js";
import { samplingOf, type TaskOptions } from "./options.js";
import { summariseTasks, type TaskFigures, type TaskSummary } from "./summary.js";

/** How a task was put to the models. */
export interface TaskRecord {
  readonly kind: Task["kind"];
  readonly version: number;
  readonly files: TaskItems["files"];
  /** The task's own file. */
  readonly definition: Task["file"];
  readonly items: number;
  /** Rows of the test data, of which the items are the first `limit` that the task takes. */
  readonly rows: number;
  readonly limit: number | null;
  readonly fewShot: number;
  readonly seed: number;
  readonly chat: boolean;
  readonly systemPrompt: string | null;
  /** Who wrote the BOS token that prompts begin with. */
  readonly bos: EncodedPrompt["bos"];
  /** Items whose prompt was cut from the left to fit the model. */
  readonly truncated: number;
  readonly sampling: Sampling | null;
  readonly maxNewTokens: number | null;
}

export interface TaskResults {
  readonly summary: Readonly<Record<string, TaskSummary>>;
  readonly records: Readonly<Record<string, TaskRecord>>;
  readonly items: readonly ItemResult[];
}

/** What tasks are prepared with. */
export interface TaskModels {
  readonly model: Model;
  readonly base: Model | undefined;
  readonly tokenizer: Tokenizer;
}

/** What the models are asked with. */
export interface TaskRun {
  readonly engine: Engine;
  readonly model: Contestant;
  readonly base: Contestant | undefined;
  readonly journal: Journal;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: OnProgress;
}

const BATCH = 16;

/** A task with its items as the models read them. */
interface Prepared {
  readonly task: Task;
  readonly loaded: TaskItems;
  readonly encoder: Encoder;
  readonly chat: boolean;
  /** Of each item: one for each choice, or one. */
  readonly prompts: readonly (readonly PromptText[])[];
  readonly encoded: readonly EncodedPrompt[];
}

/** Tasks with their items, ready to be put to the models. */
export interface PreparedTasks {
  readonly tokenizer: Tokenizer;
  /** The chat template's own text, where there is one and it may be used. */
  readonly chatTemplate: string | undefined;
  /** Tokens that the models take, prompt and answer together. */
  readonly maxTokens: number;
  readonly tasks: readonly Prepared[];
}

/** Where tasks and their items are read from, beside how they are put. */
interface PrepareOptions extends TaskOptions {
  /** Built-in names, or files that end in .yaml. */
  readonly tasks: readonly string[];
  readonly dataDirectory?: string;
  readonly signal?: AbortSignal;
}

/** Reads the tasks and their items, before anything is computed: every mistake in them shows first. Throws InputError. */
export async function prepareTasks(models: TaskModels, options: PrepareOptions): Promise<PreparedTasks> {
  const { directory } = (models.base ?? models.model).checkpoint;
  const template = options.chat === "off" ? undefined : await loadChatTemplate(directory);
  if (options.chat === "on" && !template) {
    throw new InputError(`--chat on: ${directory} has no chat template (chat_template.jinja or tokenizer_config.json)`);
  }
  if (options.systemPrompt !== undefined && !template) {
    throw new InputError(`--system-prompt: it is part of a chat, and ${directory} has no chat template`);
  }
  const loaded: Task[] = [];
  for (const name of options.tasks) {
    const task = await loadTask(name, options.signal);
    if (loaded.some((other) => other.name === task.name)) {
      throw new InputError(`--task ${name}: the task ${task.name} is there twice`);
    }
    loaded.push(task);
  }
  const tasks: Prepared[] = [];
  for (const task of loaded) tasks.push(await prepareTask(models, options, task, template));
  return { tokenizer: models.tokenizer, chatTemplate: template?.source, maxTokens: maxTokensOf(models), tasks };
}

function maxTokensOf({ model, base }: Pick<TaskModels, "model" | "base">): number {
  return Math.min(model.architecture.maxTokens, (base ?? model).architecture.maxTokens);
}

async function prepareTask(
  { model, base, tokenizer }: TaskModels,
  { limit, fewShot, seed, chat: mode, systemPrompt, maxNewTokens, dataDirectory, signal }: PrepareOptions,
  task: Task,
  template: ChatTemplate | undefined,
): Promise<Prepared> {
  const maxTokens = maxTokensOf({ model, base });
  const newTokens = task.kind === "generate" ? (maxNewTokens ?? task.max_new_tokens) : 0;
  if (newTokens >= maxTokens) {
    const place = maxNewTokens === undefined ? task.locate("max_new_tokens") : "--max-new-tokens";
    throw new InputError(
      `${place}: ${newTokens} leaves no room for the prompt: the model takes ${maxTokens} tokens, prompt and answer ` +
        "together; give a smaller --max-new-tokens",
    );
  }
  const loadOptions: LoadItemsOptions = { dataDirectory, limit, fewShot, seed, signal };
  const loaded = await loadItems(task, loadOptions);
  const chat = template !== undefined && (mode === "on" || task.kind === "generate");
  const encoder = createEncoder({
    tokenizer,
    template: chat ? template : undefined,
    system: systemPrompt,
    maxTokens,
  });
  const prompts = loaded.items.map((item) => encoder.prompts(item));
  const encoded = prompts.map(([first]) => encoder.encode(first!));
  for (const [i, { ids }] of encoded.entries()) {
    if (ids.length === 0 && task.kind === "generate") {
      throw new InputError(`${loaded.files[0]!.path}: the prompt of item ${loaded.items[i]!.id} is empty`);
    }
  }
  return { task, loaded, encoder, chat, prompts, encoded };
}

/**
 * Puts the tasks to the model, and to its base where there is one: generated answers, likelihoods of choices, and
 * divergences on the tasks' own text.
 */
export async function runTasks(
  run: TaskRun,
  { tokenizer, tasks: prepared }: PreparedTasks,
  options: TaskOptions,
): Promise<TaskResults> {
  const { base, model } = run;
  const sampling = samplingOf(options);
  const memory = options.memory ?? availableMemory() / 2;
  const howToAnswer = {
    tokenizer,
    sampling,
    batch: options.batch ?? BATCH,
    cacheBytes: memory / 2,
    signal: run.signal,
  };
  const generating = prepared.filter(({ task }) => task.kind === "generate");
  const prompts = generating.map((one) => promptsOf(one, options));
  const generateAll = async (side: Contestant, name: string): Promise<Awaited<ReturnType<typeof answers>>[]> => {
    const onAnswers = counter(run.onProgress, `generate (${name})`, prompts.flat().length);
    const weights = createWeightStore(side.model, memory / 2); // gone before the other model's are read
    const results = [];
    for (const some of prompts) {
      results.push(await answers(side, weights, run.engine, some, run.journal, { ...howToAnswer, onAnswers }));
    }
    return results;
  };
  const generatedBase = base && generating.length > 0 ? await generateAll(base, "base") : undefined;
  const generated = generating.length > 0 ? await generateAll(model, base ? "compressed" : "model") : [];

  // Everything that is scored by teacher forcing, in one go: choices, references, and the base's own answers.
  const wanted = prepared.map((one) => {
    const g = generating.indexOf(one);
    const own = g < 0 ? undefined : generatedBase?.[g];
    return {
      targets: one.loaded.items.map((item, i) => targetsOf(one, item, i, base !== undefined)),
      own: (own ?? []).map(({ ids }, i) => ownAnswer(one, i, ids, model)),
    };
  });
  const all = wanted.flatMap(({ targets, own }) => [...targets.flat(), ...own]);
  const scored = await continuationFigures(model, base, run.engine, all, run.journal, {
    signal: run.signal,
    onContinuations: counter(run.onProgress, "score", all.length),
  });
  const takeFigures = takerOf(scored);

  const records: Record<string, TaskRecord> = {};
  const figures = prepared.map((one, t): TaskFigures => {
    const { task, loaded } = one;
    const { targets, own } = wanted[t]!;
    const figuresOfItems = targets.map((target) => takeFigures(target.length));
    const g = generating.indexOf(one);
    const truncated = loaded.items.map((_, i) =>
      g < 0 ? Math.max(...targets[i]!.map((target) => target.truncated)) : generated[g]![i]!.truncated,
    );
    const results = loaded.items.map((item, i) => {
      const sides =
        g < 0
          ? {
              base: base ? chosenAnswer(item, figuresOfItems[i]!, "base") : null,
              compressed: chosenAnswer(item, figuresOfItems[i]!, "compressed"),
            }
          : {
              base: generatedBase ? generatedAnswer(task, generatedBase[g]![i]!) : null,
              compressed: generatedAnswer(task, generated[g]![i]!),
            };
      const texts = one.prompts[i]!.map(({ text }) => text);
      return itemResult(task, item, texts, sides, truncated[i]!);
    });
    records[task.name] = recordOf(one, options, sampling, truncated.filter((tokens) => tokens > 0).length);
    const references = loaded.items.flatMap(
      (item, i) => figuresOfItems[i]![item.kind === "generate" ? 0 : item.gold] ?? [],
    );
    return { task, results, references, answers: takeFigures(own.length) };
  });
  return {
    summary: summariseTasks(figures, options.seed ?? 0),
    records,
    items: figures.flatMap(({ results }) => results),
  };
}

function promptsOf({ task, encoded }: Prepared, { maxNewTokens }: TaskOptions): Prompt[] {
  if (task.kind !== "generate") return [];
  return encoded.map(({ ids }) => ({
    ids: [...ids],
    maxNewTokens: maxNewTokens ?? task.max_new_tokens,
    stopStrings: task.stop,
  }));
}

/** The choices after their contexts; for tasks that generate, the first reference, whose text only a base makes of use. */
function targetsOf({ encoder, prompts }: Prepared, item: Item, i: number, compared: boolean): Continuation[] {
  if (item.kind !== "generate") return item.choices.map((choice, c) => encoder.window(prompts[i]![c]!, choice));
  return compared ? [encoder.window(prompts[i]![0]!, item.references[0]!)] : [];
}

/** What the base wrote after its prompt, token by token. */
function ownAnswer({ encoded }: Prepared, i: number, ids: readonly number[], { model }: Contestant): Continuation {
  const prompt = encoded[i]!.ids;
  const truncated = Math.max(0, prompt.length + ids.length - model.architecture.maxTokens);
  return { ids: [...prompt.subarray(truncated), ...ids], from: prompt.length - truncated, truncated };
}

function recordOf(
  { task, loaded, encoded, chat }: Prepared,
  { limit, systemPrompt, maxNewTokens }: TaskOptions,
  sampling: Sampling | undefined,
  truncated: number,
): TaskRecord {
  return {
    kind: task.kind,
    version: task.version,
    files: loaded.files,
    definition: task.file,
    items: loaded.items.length,
    rows: loaded.rows,
    limit: limit ?? null,
    fewShot: loaded.fewShot,
    seed: loaded.seed,
    chat,
    systemPrompt: chat ? (systemPrompt ?? null) : null,
    bos: encoded[0]!.bos,
    truncated,
    sampling: task.kind === "generate" ? (sampling ?? null) : null,
    maxNewTokens: task.kind === "generate" ? (maxNewTokens ?? task.max_new_tokens) : null,
  };
}

/** Hands out figures in the order in which their continuations were listed. */
function takerOf(figures: readonly ContinuationFigures[]): (count: number) => readonly ContinuationFigures[] {
  let next = 0;
  return (count) => {
    next += count;
    return figures.slice(next - count, next);
  };
}

function counter(onProgress: OnProgress, what: string, total: number): (count: number) => void {
  let done = 0;
  onProgress({ kind: "start", what, total });
  return (count) => {
    done += count;
    onProgress({ kind: "step", done });
  };
}
