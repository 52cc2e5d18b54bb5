import type { Engine } from "../engine/engine.js";
import type { Prompt } from "../generation/generate.js";
import type { Sampling } from "../generation/sampling.js";
import { createWeightStore } from "../generation/weights.js";
import { availableMemory } from "../memory/available.js";
import type { EvaluationLimits } from "../memory/evaluation.js";
import { countSteps, type OnProgress } from "../progress.js";
import type { Journal } from "../results/journal.js";
import type { TaskItems } from "../tasks/items.js";
import type { Item, Task } from "../tasks/task.js";
import type { EncodedPrompt } from "../tokenizer/prompt.js";
import { answers, type Contestant } from "./answers.js";
import { type ContinuationFigures, continuationFigures } from "./continuations.js";
import type { Continuation } from "./encode.js";
import { chosenAnswer, generatedAnswer, type ItemResult, itemResult } from "./item-results.js";
import { samplingOf, type TaskOptions } from "./options.js";
import type { EncodedTask, PreparedTasks } from "./prepare.js";
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

/** What the models are asked with. */
export interface TaskRun {
  readonly engine: Engine;
  readonly model: Contestant;
  readonly base: Contestant | undefined;
  readonly journal: Journal;
  /** For a process that may take so much memory and no more. */
  readonly limits?: EvaluationLimits | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: OnProgress;
}

const BATCH = 16;

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
  const memory = run.limits?.generationBytes ?? availableMemory() / 2;
  const howToAnswer = {
    tokenizer,
    sampling,
    batch: options.batch ?? BATCH,
    cacheBytes: memory / 2,
    isLimit: run.limits !== undefined,
    signal: run.signal,
  };
  const generating = prepared.filter(({ task }) => task.kind === "generate");
  const prompts = generating.map((one) => promptsOf(one, options));
  const generateAll = async (side: Contestant, name: string): Promise<Awaited<ReturnType<typeof answers>>[]> => {
    const onAnswers = countSteps(run.onProgress, `generate (${name})`, prompts.flat().length);
    // Gone before the other model's are read.
    const weights = createWeightStore(side.model, run.engine, memory / 2, run.limits?.collectGarbage);
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
    limits: run.limits,
    signal: run.signal,
    onContinuations: countSteps(run.onProgress, "score", all.length),
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

function promptsOf({ task, encoded }: EncodedTask, { maxNewTokens }: TaskOptions): Prompt[] {
  if (task.kind !== "generate") return [];
  return encoded.map(({ ids }) => ({
    ids: [...ids],
    maxNewTokens: maxNewTokens ?? task.max_new_tokens,
    stopStrings: task.stop,
  }));
}

/** The choices after their contexts; for tasks that generate, the first reference, whose text only a base makes of use. */
function targetsOf({ encoder, prompts }: EncodedTask, item: Item, i: number, compared: boolean): Continuation[] {
  if (item.kind !== "generate") return item.choices.map((choice, c) => encoder.window(prompts[i]![c]!, choice));
  return compared ? [encoder.window(prompts[i]![0]!, item.references[0]!)] : [];
}

/** What the base wrote after its prompt, token by token. */
function ownAnswer({ encoded }: EncodedTask, i: number, ids: readonly number[], { model }: Contestant): Continuation {
  const prompt = encoded[i]!.ids;
  const truncated = Math.max(0, prompt.length + ids.length - model.architecture.maxTokens);
  return { ids: [...prompt.subarray(truncated), ...ids], from: prompt.length - truncated, truncated };
}

function recordOf(
  { task, loaded, encoded, chat }: EncodedTask,
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
