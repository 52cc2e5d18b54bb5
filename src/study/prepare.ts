import type { Checkpoint } from "../checkpoint/checkpoint.js";
import { openCheckpoint } from "../checkpoint/open.js";
import { sha256OfIds } from "../data/windows.js";
import { type Engine, howComputed } from "../engine/engine.js";
import { InputError } from "../errors.js";
import { resolveModel } from "../hub/model.js";
import { availableMemory } from "../memory/available.js";
import { createFinalStates, type FinalStates } from "../model/final-states.js";
import { type Model, openModel } from "../model/model.js";
import type { OnProgress } from "../progress.js";
import { journalKey } from "../results/journal.js";
import type { TaskOptions } from "../task-evaluation/options.js";
import { type PreparedTasks, prepareTasks } from "../task-evaluation/prepare.js";
import { type EvaluationRecord, evaluationData } from "../text-evaluation/evaluation-data.js";
import { loadTokenizer, type Tokenizer } from "../tokenizer/tokenizer.js";
import type { StudyDefinition } from "./definition.js";

/** Raised whenever a measurement of the same models on the same data gives other figures. */
const MEASUREMENT_VERSION = 1;
/** The same of noise floors alone. */
const NOISE_VERSION = 2;
/** Tokens that are kept for reading, over all sources. */
const SAMPLE_TOKENS = 256;
/** Of the memory that is free, for the base models' states. */
const STATES_SHARE = 1 / 4;

/** A base model with all that its cells are measured on. */
export interface BaseModel {
  readonly name: string;
  readonly model: Model;
  readonly sha256: string;
  /** What the model makes of the cells' windows: read once, not again for every cell. */
  readonly states: FinalStates;
  readonly parameters: number;
  /** Of the weights' files. */
  readonly bytes: number;
  readonly tokenizer: () => Promise<Tokenizer | undefined>;
  readonly texts: readonly PreparedText[];
  readonly tasks: readonly PreparedTask[];
  /** Of windows that are kept for reading; undefined where none are. */
  readonly sample: { readonly key: string; readonly windows: readonly SampleText[] } | undefined;
  /** Of the windows on which each block's weights are measured alone; undefined where they are not. */
  readonly blocks: { readonly key: string; readonly windows: readonly Int32Array[] } | undefined;
}

export interface PreparedText {
  readonly name: string;
  readonly windows: readonly Int32Array[];
  readonly record: EvaluationRecord;
  readonly key: string;
  /** Of the noise floor, which is the base's alone. */
  readonly noiseKey: string;
}

export interface PreparedTask {
  readonly name: string;
  readonly prepared: PreparedTasks;
  readonly options: TaskOptions;
  readonly key: string;
}

interface SampleText {
  readonly source: string;
  readonly window: number;
  readonly ids: Int32Array;
}

export interface PrepareOptions {
  readonly dataDirectory?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
}

/**
 * Opens a study's models and reads all their data, so that every mistake shows before anything is computed; `opened` gets
 * the checkpoints to close. Throws InputError.
 */
export async function prepareModels(
  definition: StudyDefinition,
  engine: Engine,
  opened: Checkpoint[],
  options: PrepareOptions,
): Promise<BaseModel[]> {
  const models: BaseModel[] = [];
  for (const { name, path } of definition.models) {
    const checkpoint = await openCheckpoint(await resolveModel(path, options));
    opened.push(checkpoint);
    models.push(await prepareModel(name, checkpoint, definition, engine, options));
  }
  return models;
}

async function prepareModel(
  name: string,
  checkpoint: Checkpoint,
  definition: StudyDefinition,
  engine: Engine,
  options: PrepareOptions,
): Promise<BaseModel> {
  const model = openModel(checkpoint);
  let loading: Promise<Tokenizer | undefined> | undefined;
  const tokenizer = () => {
    loading ??= loadTokenizer(checkpoint.path);
    return loading;
  };
  const keyOf = (...parts: unknown[]) => journalKey(MEASUREMENT_VERSION, ...howComputed(engine), ...parts).slice(0, 32);
  const texts: PreparedText[] = [];
  for (const source of definition.data) {
    const { windows, record } = await evaluationData(
      {
        data: source.source,
        ...(source.sequenceLength === null ? {} : { sequenceLength: source.sequenceLength }),
        ...(source.windows === null ? {} : { windows: source.windows }),
        ...(options.dataDirectory === undefined ? {} : { dataDirectory: options.dataDirectory }),
        onProgress: options.onProgress,
      },
      tokenizer,
      model.architecture,
      options.signal,
    );
    const keys = { key: keyOf("text", record.idsSha256), noiseKey: keyOf("noise", NOISE_VERSION, record.idsSha256) };
    texts.push({ name: source.name, windows, record, ...keys });
  }
  const sample = definition.sample ? sampleTexts(texts) : [];
  const first = texts[0];
  return {
    name,
    model,
    sha256: await checkpoint.hash(options.signal),
    states: createFinalStates((availableMemory() * STATES_SHARE) / definition.models.length),
    parameters: [...checkpoint.tensors.values()].reduce(
      (sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1),
      0,
    ),
    bytes: checkpoint.bytes,
    tokenizer,
    texts,
    tasks: await prepareEveryTask(model, tokenizer, definition, keyOf, options),
    sample:
      sample.length === 0
        ? undefined
        : { windows: sample, key: keyOf("sample", sha256OfIds(sample.map(({ ids }) => ids))) },
    blocks:
      definition.blocks && first ? { windows: first.windows, key: keyOf("blocks", first.record.idsSha256) } : undefined,
  };
}

async function prepareEveryTask(
  model: Model,
  loading: () => Promise<Tokenizer | undefined>,
  definition: StudyDefinition,
  keyOf: (...parts: unknown[]) => string,
  { dataDirectory, signal, onProgress }: PrepareOptions,
): Promise<PreparedTask[]> {
  if (definition.tasks.length === 0) return [];
  const tokenizer = await loading();
  if (!tokenizer) {
    throw new InputError(`${model.checkpoint.path}: tasks need a tokenizer, and there is no tokenizer.json`);
  }
  const tasks: PreparedTask[] = [];
  for (const { task, limit, fewShot, maxNewTokens } of definition.tasks) {
    const options: TaskOptions = {
      chat: definition.chat,
      ...(definition.systemPrompt === null ? {} : { systemPrompt: definition.systemPrompt }),
      ...(limit === null ? {} : { limit }),
      ...(fewShot === null ? {} : { fewShot }),
      ...(maxNewTokens === null ? {} : { maxNewTokens }),
    };
    const prepared = await prepareTasks(
      { model, base: undefined, tokenizer },
      {
        ...options,
        tasks: [task],
        ...(dataDirectory === undefined ? {} : { dataDirectory }),
        ...(signal === undefined ? {} : { signal }),
        onProgress,
      },
    );
    const [one] = prepared.tasks;
    if (!one) throw new Error("a task was not prepared");
    const { name } = one.task;
    if (tasks.some((other) => other.name === name)) throw new InputError(`tasks: the task ${name} is there twice`);
    const key = keyOf(
      "task",
      one.task.file.sha256,
      one.loaded.files.map(({ sha256 }) => sha256),
      options,
      // What the models really read: a tokenizer or a chat template that changed shows here.
      sha256OfIds(one.encoded.map(({ ids }) => Int32Array.from(ids))),
    );
    tasks.push({ name, prepared, options, key });
  }
  return tasks;
}

/** The beginning of each source's first window. */
function sampleTexts(texts: readonly PreparedText[]): SampleText[] {
  const length = Math.floor(SAMPLE_TOKENS / Math.max(1, texts.length));
  return texts.map(({ name, windows }) => ({
    source: name,
    window: 0,
    ids: windows[0]!.slice(0, Math.max(2, length)),
  }));
}
