import { InputError } from "../errors.js";
import type { Sampling } from "../generation/sampling.js";

/** How tasks are put to the models; the names are the command line's. */
export interface TaskOptions {
  /** Only the first so many items of each task. */
  readonly limit?: number;
  /** Examples in front of each prompt, in place of what the task says. */
  readonly fewShot?: number;
  /** Of few-shot examples, sampling, bootstrap and permutations: 0 where not given. */
  readonly seed?: number;
  /** Whether prompts go through the model's chat template. `auto`: for tasks that ask (generate, and no mere completion), where the model has one. */
  readonly chat?: "auto" | "on" | "off";
  /** The chat's system message. */
  readonly systemPrompt?: string;
  /** In place of what the tasks say. */
  readonly maxNewTokens?: number;
  /** Prompts that are continued at once: 16 where not given. */
  readonly batch?: number;
  /** Sampling in place of greedy generation. */
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
}

/** How answers are drawn; undefined for greedy ones. Throws InputError for options that draw nothing, or no share. */
export function samplingOf({ temperature, topK, topP, seed = 0 }: TaskOptions): Sampling | undefined {
  if (topP !== undefined && !(topP > 0 && topP <= 1)) {
    throw new InputError(`--top-p ${topP}: give a probability above 0, at most 1`);
  }
  if (temperature !== undefined && temperature > 0) return { temperature, topK, topP, seed };
  if (topK !== undefined || topP !== undefined) {
    throw new InputError("--top-k and --top-p draw tokens: add --temperature, such as 1");
  }
  return undefined;
}

const FLAGS = {
  limit: "--limit",
  fewShot: "--few-shot",
  systemPrompt: "--system-prompt",
  maxNewTokens: "--max-new-tokens",
  batch: "--batch",
  temperature: "--temperature",
  topK: "--top-k",
  topP: "--top-p",
} as const satisfies Partial<Record<keyof TaskOptions, string>>;

/** Throws InputError for options that make no sense together, before any file is read. */
export function checkTaskOptions(options: TaskOptions, tasks: readonly string[]): void {
  const given = Object.entries(FLAGS).find(([name]) => options[name as keyof typeof FLAGS] !== undefined);
  if (given && tasks.length === 0) throw new InputError(`${given[1]} is of tasks: add --task NAME`);
  if (options.systemPrompt !== undefined && options.chat === "off") {
    throw new InputError("--system-prompt is part of a chat: leave out --chat off");
  }
  samplingOf(options);
}
