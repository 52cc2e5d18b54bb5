import type { Engine } from "../engine/engine.js";
import { InputError, throwIfAborted } from "../errors.js";
import { type Choose, createSampler, likeliest, type Sampling } from "./sampling.js";
import { bytesAToken, createSequences, type Sequences } from "./sequences.js";
import type { WeightStore } from "./weights.js";

/** What the model is to continue. */
export interface Prompt {
  /** Token ids, at least one. */
  readonly ids: readonly number[];
  /** At most so many tokens are generated. */
  readonly maxNewTokens: number;
  /** Generation ends where the text holds one of these; the text ends before it. */
  readonly stopStrings?: readonly string[];
  /** Which random numbers a sampled continuation has; the prompt's index where it is left out. */
  readonly stream?: number;
}

export interface GenerateOptions {
  /** Tokens that end a text. */
  readonly endIds: ReadonlySet<number>;
  /** The text of generated tokens, without special ones. */
  readonly decode: (ids: readonly number[]) => string;
  /** Greedy where it is left out. */
  readonly sampling?: Sampling | undefined;
  /** Prompts that are continued at once: fewer where their keys and values would take more than `cacheBytes`. */
  readonly batch: number;
  readonly cacheBytes: number;
  /** Refuses a prompt whose keys and values alone would take more, rather than to continue it by itself. */
  readonly isLimit?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onToken?: (tokens: number) => void;
}

/** A continuation. */
export interface Generated {
  /** Generated token ids, with the end token where one came. */
  readonly ids: readonly number[];
  readonly text: string;
  readonly stop: "end" | "stop-string" | "length";
  /** Tokens cut off the prompt's beginning, because the model takes no more. */
  readonly truncated: number;
}

/** A shorter common beginning is not worth a copy. */
const LEAST_PREFIX = 16;

/**
 * Continues every prompt and hands each continuation over when it is done, in no particular order. What a prompt is
 * continued by does not depend on what it runs with, but for rounding where two tokens nearly tie: every prompt goes
 * through the model alone, without padding, and later tokens attend to their own sequence.
 *
 * A beginning that all prompts share (few-shot examples) is computed once.
 */
export async function generate(
  weights: WeightStore,
  engine: Engine,
  prompts: readonly Prompt[],
  options: GenerateOptions,
  onDone: (prompt: number, generated: Generated) => Promise<void> | void,
): Promise<void> {
  if (prompts.length === 0) return;
  const { model } = weights;
  const { signal, onToken = () => {} } = options;
  const fitted = prompts.map((prompt) => cutToFit(prompt, model.architecture.maxTokens));
  const capacity = fitted.reduce((most, { ids, maxNewTokens }) => Math.max(most, ids.length + maxNewTokens), 0);
  const sequenceBytes = capacity * bytesAToken(model, engine);
  const most = Math.floor(options.cacheBytes / sequenceBytes);
  if (options.isLimit && most < 1) throw tooLong(capacity, sequenceBytes, options.cacheBytes);
  // It has a sequence of its own, after the others.
  const prefix = most < 2 ? [] : commonPrefix(fitted.map(({ ids }) => ids));
  const shared = prefix.length > 0 ? 1 : 0;
  const batch = Math.max(1, Math.min(options.batch, prompts.length, most - shared));
  const sequences = createSequences(weights, engine, batch + shared, capacity);
  if (prefix.length > 0) await sequences.append([batch], [prefix]);

  const { vocabularySize } = model.architecture;
  const active: Run[] = []; // active[i] is sequence i
  let next = 0;
  while (next < prompts.length || active.length > 0) {
    throwIfAborted(signal);
    const begin = active.length;
    const added = fitted.slice(next, next + batch - begin);
    for (const prompt of added) active.push(createRun(prompt, next++, options));
    // New prompts first; those that are done make room for more of them.
    const from = added.length > 0 ? begin : 0;
    const logits =
      added.length > 0
        ? await appendPrompts(sequences, active, from, prefix.length, batch)
        : await sequences.step(active.map(({ ids }) => ids.at(-1)!));
    const runs = active.slice(from);
    onToken(runs.length);
    for (const [i, run] of runs.entries()) take(run, run.choose(logits, i * vocabularySize, vocabularySize), options);
    for (let slot = active.length - 1; slot >= from; slot--) {
      const run = active[slot]!;
      if (!run.done) continue;
      await onDone(run.index, { ...run.done, ids: run.ids, truncated: run.prompt.truncated });
      const last = active.pop()!;
      if (last === run) continue;
      active[slot] = last;
      sequences.copy(active.length, slot, last.prompt.ids.length + last.ids.length - 1);
    }
  }
}

/** What is left of a limit is shared with weights, half and half. */
function tooLong(tokens: number, bytes: number, limit: number): InputError {
  const mib = (size: number) => `${Math.ceil(size / 2 ** 20)}MiB`;
  return new InputError(
    `--memory: a prompt and its answer, ${tokens} tokens, take ${mib(bytes)} of keys and values, and ${mib(limit)} are left for ` +
      `them; give ${mib(2 * (bytes - limit))} more, or shorter answers by --max-new-tokens`,
  );
}

interface FittedPrompt extends Prompt {
  readonly truncated: number;
}

/** A prompt in the making. */
interface Run {
  readonly index: number;
  readonly prompt: FittedPrompt;
  readonly choose: Choose;
  readonly ids: number[];
  done: Pick<Generated, "text" | "stop"> | undefined;
}

/** Cuts off the beginning of what would leave no room for the new tokens. */
function cutToFit(prompt: Prompt, maxTokens: number): FittedPrompt {
  const maxNewTokens = Math.min(prompt.maxNewTokens, maxTokens - 1);
  const truncated = Math.max(0, prompt.ids.length + maxNewTokens - maxTokens);
  return { ...prompt, maxNewTokens, ids: prompt.ids.slice(truncated), truncated };
}

/** What all prompts begin with; at least one token of each is left for its own run. Empty for a single prompt. */
function commonPrefix(prompts: readonly (readonly number[])[]): readonly number[] {
  const [first = [], ...others] = prompts;
  let length = others.length === 0 ? 0 : first.length - 1;
  for (const ids of others) {
    length = Math.min(length, ids.length - 1);
    for (let i = 0; i < length; i++) if (ids[i] !== first[i]) length = i;
  }
  return length < LEAST_PREFIX ? [] : first.slice(0, length);
}

function createRun(prompt: FittedPrompt, index: number, { sampling }: GenerateOptions): Run {
  return {
    index,
    prompt,
    choose: sampling ? createSampler(sampling, prompt.stream ?? index) : likeliest,
    ids: [],
    done: undefined,
  };
}

function appendPrompts(sequences: Sequences, active: readonly Run[], from: number, prefix: number, source: number) {
  const slots = Array.from({ length: active.length - from }, (_, i) => from + i);
  for (const slot of slots) {
    if (prefix > 0) sequences.copy(source, slot, prefix);
    else sequences.clear(slot);
  }
  return sequences.append(
    slots,
    slots.map((slot) => active[slot]!.prompt.ids.slice(prefix)),
  );
}

/** Adds a token to a run and sees whether it is done. */
function take(run: Run, token: number, { endIds, decode }: GenerateOptions): void {
  const { ids, prompt } = run;
  ids.push(token);
  if (endIds.has(token)) {
    run.done = { stop: "end", text: decode(ids.slice(0, -1)) };
    return;
  }
  const stops = prompt.stopStrings ?? [];
  const atLimit = ids.length >= prompt.maxNewTokens;
  if (stops.length === 0 && !atLimit) return;
  const text = decode(ids);
  const cuts = stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
  if (cuts.length > 0) run.done = { stop: "stop-string", text: text.slice(0, Math.min(...cuts)) };
  else if (atLimit) run.done = { stop: "length", text };
}
