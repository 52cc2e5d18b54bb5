import type { Checkpoint } from "./checkpoint/checkpoint.js";
import { openCheckpoint } from "./checkpoint/open.js";
import { createEngine } from "./engine/registry.js";
import { InputError } from "./errors.js";
import { type Model, openModel } from "./model/model.js";
import { createStopwatch } from "./progress.js";
import { type EnvironmentRecord, environmentRecord } from "./results/environment.js";
import { openEvaluationFolder } from "./results/evaluation-folder.js";
import { checkPerTokenFile } from "./results/per-token.js";
import type { Contestant } from "./task-evaluation/answers.js";
import { runTasks, type TaskRecord } from "./task-evaluation/evaluate-tasks.js";
import { checkTaskOptions, type TaskOptions } from "./task-evaluation/options.js";
import { prepareTasks } from "./task-evaluation/prepare.js";
import type { TaskSummary } from "./task-evaluation/summary.js";
import {
  type AloneSummary,
  type ComparedSummary,
  compareModels,
  measureModel,
  type TextOptions,
  type TextRun,
} from "./text-evaluation/evaluate-text.js";
import {
  type EvaluationDataOptions,
  type EvaluationRecord,
  evaluationData,
} from "./text-evaluation/evaluation-data.js";
import { loadTokenizer, type Tokenizer } from "./tokenizer/tokenizer.js";

export interface EvaluateOptions
  extends Partial<Pick<EvaluationDataOptions, "data">>,
    Omit<EvaluationDataOptions, "data">,
    TaskOptions,
    TextOptions {
  /** Folder of the model to measure. */
  readonly model: string;
  /** Folder of the model to compare it with. */
  readonly base?: string;
  /** Tasks to put to the models: built-in names, or files that end in .yaml. */
  readonly tasks?: readonly string[];
  /** Folder for results, every item's answers, and what a run that was stopped goes on from. */
  readonly output?: string;
  readonly engine?: string;
  readonly threads?: number;
}

/**
 * The figures, and what they were measured on. Those on text are there when `data` was given, with divergences when a
 * base was; `tasks` has every task's metrics by name.
 */
export type EvaluateResult = (TextFigures | { readonly data: null }) & {
  readonly model: ModelRecord;
  readonly base: ModelRecord | null;
  readonly tasks?: Readonly<Record<string, TaskSummary>>;
  readonly taskRecords?: Readonly<Record<string, TaskRecord>>;
  /** When it began: ISO 8601, UTC. */
  readonly date: string;
  readonly environment: EnvironmentRecord;
  readonly seconds: Readonly<Record<string, number>>;
};

type TextFigures = (AloneSummary | ComparedSummary) & { readonly data: EvaluationRecord };

interface ModelRecord {
  readonly path: string;
  /** SHA-256 over config.json and the weights' files. */
  readonly sha256: string;
}

/**
 * Measures a model on text and on tasks, alone or against its base: position by position in step, no logits kept, and on
 * the same items. Throws InputError, RunError, AbortError.
 */
export async function evaluate(options: EvaluateOptions): Promise<EvaluateResult> {
  const { signal, data, tasks = [], onProgress = () => {} } = options;
  checkOptions(options);
  const date = new Date().toISOString();
  const opened: Checkpoint[] = [];
  const open = async (path: string): Promise<Model> => {
    const checkpoint = await openCheckpoint(path);
    opened.push(checkpoint);
    return openModel(checkpoint);
  };
  const engine = createEngine(options.engine, options);
  try {
    const model = await open(options.model);
    const base = options.base === undefined ? undefined : await open(options.base);
    if (base) checkComparable(base, model);
    let tokenizer: ReturnType<typeof loadTokenizer> | undefined; // loaded for text only, and once
    const loading = () => {
      tokenizer ??= loadTokenizer((base ?? model).checkpoint.directory);
      return tokenizer;
    };
    const watch = createStopwatch();
    const text =
      data === undefined ? undefined : await evaluationData({ ...options, data }, loading, model.architecture, signal);
    const prepared =
      tasks.length === 0
        ? undefined
        : await prepareTasks(
            { model, base, tokenizer: await tokenizerOf(base ?? model, loading) },
            { ...options, tasks },
          );

    const folder = await openEvaluationFolder(options.output);
    try {
      const identify = async (one: Model) => ({ model: one, sha256: await one.checkpoint.hash(signal) });
      const contestants = { model: await identify(model), base: base && (await identify(base)) };
      const run: TextRun | undefined = text && { engine, windows: text.windows, options, watch };
      const figures = run && (base ? await compareModels(run, base, model, loading) : await measureModel(run, model));
      const taskRun = { ...contestants, engine, journal: folder.journal, signal, onProgress };
      const taskResults = prepared && (await watch.time("tasks", () => runTasks(taskRun, prepared, options)));
      const result: EvaluateResult = {
        ...(figures && text ? { ...figures, data: text.record } : { data: null }),
        model: recordOf(contestants.model),
        base: contestants.base ? recordOf(contestants.base) : null,
        ...(taskResults ? { tasks: taskResults.summary, taskRecords: taskResults.records } : {}),
        date,
        environment: environmentRecord(engine),
        seconds: watch.seconds,
      };
      await folder.write(result, prepared, taskResults);
      return result;
    } finally {
      folder.close();
    }
  } finally {
    await engine.dispose();
    for (const checkpoint of opened) await checkpoint.close();
  }
}

/** Refuses combinations that measure nothing, before the work. */
function checkOptions(options: EvaluateOptions): void {
  const { data, tasks = [], base, perToken, noiseFloor } = options;
  if (data === undefined && tasks.length === 0) {
    throw new InputError("nothing to measure: give text by --data SOURCE, or tasks by --task NAME (pare list tasks)");
  }
  const positions = perToken ? "--per-token" : noiseFloor ? "--noise-floor" : undefined;
  if (positions && base === undefined) throw new InputError(`${positions} compares with a base: add --base MODEL`);
  if (positions && data === undefined)
    throw new InputError(`${positions} measures positions of text: add --data SOURCE`);
  if (perToken) checkPerTokenFile(perToken);
  checkTaskOptions(options, tasks);
}

/** Tasks need what data of token ids do without. */
async function tokenizerOf({ checkpoint }: Model, loading: () => Promise<Tokenizer | undefined>): Promise<Tokenizer> {
  const tokenizer = await loading();
  if (!tokenizer)
    throw new InputError(`${checkpoint.directory}: tasks need a tokenizer, and there is no tokenizer.json`);
  return tokenizer;
}

function recordOf({ model: { checkpoint }, sha256 }: Contestant): ModelRecord {
  return { path: checkpoint.directory, sha256 };
}

/** Two models can be compared token by token only if they mean the same tokens. */
function checkComparable(base: Model, model: Model): void {
  const sizes = [base, model].map(({ architecture }) => architecture.vocabularySize);
  if (sizes[0] !== sizes[1]) {
    throw new InputError(
      `${model.checkpoint.directory} has a vocabulary of ${sizes[1]}, its base ${base.checkpoint.directory} one of ` +
        `${sizes[0]}: next-token distributions can be compared over one vocabulary only`,
    );
  }
}
