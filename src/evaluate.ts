import type { Checkpoint } from "./checkpoint/checkpoint.js";
import { openCheckpoint } from "./checkpoint/open.js";
import { type Device, howComputed, type Precision } from "./engine/engine.js";
import { createEngine } from "./engine/registry.js";
import { InputError } from "./errors.js";
import { resolveModel } from "./hub/model.js";
import { evaluationLimits } from "./memory/evaluation.js";
import { warnOfUnused } from "./model/check-others.js";
import { type Model, openModel } from "./model/model.js";
import { createProfiler, type Profile } from "./profile.js";
import { createStopwatch, type OnProgress } from "./progress.js";
import { type EnvironmentRecord, environmentRecord } from "./results/environment.js";
import { openEvaluationFolder } from "./results/evaluation-folder.js";
import { type ModelRecord, modelRecord } from "./results/model-record.js";
import { checkPerTokenFile } from "./results/per-token.js";
import { calibratedOn, readRecord } from "./results/read-record.js";
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
import { keepFigures } from "./text-evaluation/kept-figures.js";
import { cutAlike, talkAlike } from "./tokenizer/compare.js";
import { loadTokenizer, type Tokenizer } from "./tokenizer/tokenizer.js";

export interface EvaluateOptions
  extends Partial<Pick<EvaluationDataOptions, "data">>,
    Omit<EvaluationDataOptions, "data">,
    TaskOptions,
    TextOptions {
  /** The model to measure: its folder, or `org/name[@revision]` of the Hugging Face hub. */
  readonly model: string;
  /** Of a model of the hub, where its name has none: a branch, a tag or a commit. */
  readonly revision?: string;
  /** The model to compare it with, named alike. */
  readonly base?: string;
  /** Tasks to put to the models: built-in names, or files that end in .yaml. */
  readonly tasks?: readonly string[];
  /** Folder for results, every item's answers, and what a run that was stopped goes on from. */
  readonly output?: string;
  /** Its name, or `auto`, as where it is left out. */
  readonly engine?: string;
  /** What the engine onnxruntime computes on; the processor where it is left out. */
  readonly device?: Device;
  /** Of matrix products; the engine's own where it is left out. */
  readonly precision?: Precision;
  readonly threads?: number;
  /** Bytes that the process may take in all. */
  readonly memory?: number;
  /** Also say where the time went. */
  readonly profile?: boolean;
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
  /** By stage: embed, read, blocks, head and figures of text; tasks. */
  readonly seconds: Readonly<Record<string, number>>;
  readonly profile?: Profile;
};

type TextFigures = (AloneSummary | ComparedSummary) & { readonly data: EvaluationRecord };

/**
 * Measures a model on text and on tasks, alone or against its base: position by position in step, no logits kept, and on
 * the same items. Throws InputError, RunError, AbortError.
 */
export async function evaluate(options: EvaluateOptions): Promise<EvaluateResult> {
  const { signal, data, tasks = [], onProgress = () => {} } = options;
  await checkOptions(options);
  const date = new Date().toISOString();
  const watch = createStopwatch();
  const profiler = options.profile ? createProfiler(watch) : undefined;
  const opened: Checkpoint[] = [];
  const open = async (name: string, revision?: string): Promise<Model> => {
    const checkpoint = await openCheckpoint(await resolveModel(name, { revision, signal, onProgress }));
    opened.push(checkpoint);
    return openModel(profiler?.checkpoint(checkpoint) ?? checkpoint);
  };
  const plain = createEngine(options.engine, { ...options, frugal: options.memory !== undefined });
  const engine = profiler?.engine(plain) ?? plain;
  try {
    await engine.check?.();
    const model = await open(options.model, options.revision);
    const base = options.base === undefined ? undefined : await open(options.base);
    if (base) checkComparable(base, model);
    warnOfUnused(model, onProgress);
    let tokenizer: ReturnType<typeof loadTokenizer> | undefined; // loaded where text or tasks need it, and once
    const loading = () => {
      tokenizer ??= loadTokenizer((base ?? model).checkpoint.path);
      return tokenizer;
    };
    const text =
      data === undefined ? undefined : await evaluationData({ ...options, data }, loading, model.architecture, signal);
    if (text) await warnOfCalibrationText(model, text.record, onProgress);
    const prepared =
      tasks.length === 0
        ? undefined
        : await prepareTasks(
            { model, base, tokenizer: await tokenizerOf(base ?? model, loading) },
            { ...options, tasks },
          );

    if (base && tokenizer) await warnOfOtherPrompts(base, model, tasks.length > 0, onProgress);

    const streams = base ? [base, model, ...(options.noiseFloor ? [base] : [])] : [model];
    const limitsNow = () =>
      options.memory === undefined ? undefined : evaluationLimits(streams, engine, text?.windows ?? [], options.memory);
    limitsNow(); // too low a limit is refused before anything is written
    const folder = await openEvaluationFolder(options.output);
    try {
      const limits = limitsNow(); // what the folder holds takes memory
      const identify = async (one: Model) => ({ model: one, sha256: await one.checkpoint.hash(signal) });
      const contestants = { model: await identify(model), base: base && (await identify(base)) };
      const how = [contestants.model, contestants.base].map((one) => one?.sha256 ?? null);
      const kept = options.output
        ? keepFigures(folder.journal, [...how, ...howComputed(engine), options.noiseFloor ?? false])
        : undefined;
      const run: TextRun | undefined = text && { engine, windows: text.windows, options, limits, watch, kept };
      const figures =
        run && (base ? await compareModels(run, { model: base }, model, loading) : await measureModel(run, model));
      const taskRun = { ...contestants, engine, journal: folder.journal, limits, signal, onProgress };
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
      return profiler ? { ...result, profile: await profiler.finish(plain) } : result;
    } finally {
      folder.close();
    }
  } finally {
    try {
      await plain.dispose();
    } finally {
      for (const checkpoint of opened) await checkpoint.close();
    }
  }
}

/** Refuses combinations that measure nothing, before the work. */
async function checkOptions(options: EvaluateOptions): Promise<void> {
  const { data, tasks = [], base, perToken, noiseFloor, windows, sequenceLength } = options;
  if (data === undefined && tasks.length === 0) {
    throw new InputError("nothing to measure: give text by --data SOURCE, or tasks by --task NAME (pare list tasks)");
  }
  const positions = perToken ? "--per-token" : noiseFloor ? "--noise-floor" : undefined;
  if (positions && base === undefined) throw new InputError(`${positions} compares with a base: add --base MODEL`);
  if (positions && data === undefined)
    throw new InputError(`${positions} measures positions of text: add --data SOURCE`);
  const ofText = windows !== undefined ? "--windows" : sequenceLength !== undefined ? "--sequence-length" : undefined;
  if (ofText && data === undefined) throw new InputError(`${ofText} is of text: add --data SOURCE`);
  if (perToken) await checkPerTokenFile(perToken);
  checkTaskOptions(options, tasks);
}

/** Tasks need what data of token ids do without. */
async function tokenizerOf({ checkpoint }: Model, loading: () => Promise<Tokenizer | undefined>): Promise<Tokenizer> {
  const tokenizer = await loading();
  if (!tokenizer) throw new InputError(`${checkpoint.path}: tasks need a tokenizer, and there is no tokenizer.json`);
  return tokenizer;
}

/** What a model was calibrated on flatters it. */
async function warnOfCalibrationText({ checkpoint }: Model, text: EvaluationRecord, onProgress: OnProgress) {
  const file = calibratedOn(await readRecord(checkpoint.path).catch(() => null), text);
  if (file === undefined) return;
  const message = `${checkpoint.path}: was calibrated on text of ${file}, too: measure it on other text`;
  onProgress({ kind: "warning", message });
}

/** Both models read what the base's tokenizer makes of a text, and its chat template of a question. */
async function warnOfOtherPrompts(base: Model, model: Model, isAsked: boolean, onProgress: OnProgress) {
  const [own, others] = [model.checkpoint.path, base.checkpoint.path];
  const warn = (what: string, how: string) =>
    onProgress({
      kind: "warning",
      message: `${own}: its ${what} is another than the base's, by which both are ${how}`,
    });
  if (!(await cutAlike(own, others))) warn("tokenizer", "measured");
  if (isAsked && !(await talkAlike(own, others))) warn("chat template", "asked");
}

function recordOf({ model, sha256 }: Contestant): ModelRecord {
  return modelRecord(model.checkpoint.path, sha256);
}

/** Two models can be compared token by token only if they mean the same tokens. */
function checkComparable(base: Model, model: Model): void {
  const sizes = [base, model].map(({ architecture }) => architecture.vocabularySize);
  if (sizes[0] !== sizes[1]) {
    throw new InputError(
      `${model.checkpoint.path} has a vocabulary of ${sizes[1]}, its base ${base.checkpoint.path} one of ` +
        `${sizes[0]}: next-token distributions can be compared over one vocabulary only`,
    );
  }
}
