import { createHash } from "node:crypto";
import type { Generated } from "../generation/generate.js";
import { scoreChoices } from "../metrics/choice/choice.js";
import { choiceMetrics } from "../metrics/choice/registry.js";
import { textMetric } from "../metrics/text/registry.js";
import { extractAnswer } from "../tasks/extract.js";
import type { Item, Task } from "../tasks/task.js";
import { type ContinuationFigures, logLikelihood } from "./continuations.js";

/** A model's answer to an item. */
export type Answer =
  | {
      readonly kind: "generate";
      readonly text: string;
      /** What the metrics see of the text. */
      readonly prediction: string;
      readonly ids: readonly number[];
      readonly stop: Generated["stop"];
    }
  | {
      readonly kind: "choice" | "last-word";
      /** ln of each choice's probability; null where a logit was not finite. */
      readonly logLikelihoods: readonly (number | null)[];
      /** Whether every token of each choice was the likeliest. */
      readonly greedy: readonly boolean[];
      /** The likeliest choice. */
      readonly chosen: number | null;
    };

/** One item as both models answered it: a line of items.jsonl. */
export interface ItemResult {
  readonly id: string;
  readonly task: string;
  readonly index: number;
  readonly promptSha256: string;
  readonly prompt: string;
  /** What the model read before each choice, where that is not always the prompt; null otherwise. */
  readonly contexts: readonly string[] | null;
  readonly references: readonly string[];
  readonly choices: readonly string[] | null;
  readonly gold: number | null;
  readonly base: Answer | null;
  readonly compressed: Answer;
  /** By metric. */
  readonly scores: Readonly<Record<string, { readonly base: number | null; readonly compressed: number }>>;
  /** Of generated answers, the first token at which they part; null where they do not, or without a base. */
  readonly firstDivergentToken: number | null;
  /** Tokens cut off the beginning of the prompt, because the model takes no more. */
  readonly truncated: number;
  readonly record: Readonly<Record<string, unknown>>;
}

export function generatedAnswer(task: Task, { text, ids, stop }: Generated): Answer {
  const prediction = task.kind === "generate" ? extractAnswer(text, task.answer) : text;
  return { kind: "generate", text, prediction, ids, stop };
}

/** `side`: whose figures of each choice to take. */
export function chosenAnswer(item: Item, figures: readonly ContinuationFigures[], side: "base" | "compressed"): Answer {
  if (item.kind === "generate") throw new Error("an item of choices is expected");
  const own = figures.map((choice) => (side === "base" ? choice.base! : choice));
  const logLikelihoods = own.map(({ loss }) => logLikelihood(loss));
  const { chosen } = scoreChoices({ logLikelihoods, choices: item.choices, gold: item.gold });
  return {
    kind: item.kind,
    logLikelihoods: logLikelihoods.map((value) => (Number.isFinite(value) ? value : null)),
    greedy: own.map(({ greedy }) => greedy),
    chosen,
  };
}

/** Puts an item's answers and their scores together; `prompts` are what the model read before each choice, or one text. */
export function itemResult(
  task: Task,
  item: Item,
  prompts: readonly string[],
  answers: { readonly base: Answer | null; readonly compressed: Answer },
  truncated: number,
): ItemResult {
  const { base, compressed } = answers;
  const [prompt = ""] = prompts;
  const scores = Object.fromEntries(
    task.metrics.map((metric) => [
      metric,
      { base: base && scoreOf(metric, item, base), compressed: scoreOf(metric, item, compressed) },
    ]),
  );
  return {
    id: item.id,
    task: task.name,
    index: item.index,
    promptSha256: createHash("sha256").update(prompt).digest("hex"),
    prompt,
    contexts: prompts.every((text) => text === prompt) ? null : prompts,
    references: item.references,
    choices: item.kind === "generate" ? null : item.choices,
    gold: item.kind === "generate" ? null : item.gold,
    base,
    compressed,
    scores,
    firstDivergentToken: base ? firstDifference(base, compressed) : null,
    truncated,
    record: item.record,
  };
}

function scoreOf(metric: string, item: Item, answer: Answer): number {
  if (answer.kind === "generate") return textMetric(metric).score(answer.prediction, item.references);
  if (item.kind === "generate") throw new Error("an item of choices is expected");
  if (answer.kind === "last-word") return answer.greedy[item.gold] ? 1 : 0;
  const logLikelihoods = answer.logLikelihoods.map((value) => value ?? Number.NaN);
  const scores = scoreChoices({ logLikelihoods, choices: item.choices, gold: item.gold });
  return choiceMetrics.find(({ name }) => name === metric)!.score(scores);
}

function firstDifference(base: Answer, compressed: Answer): number | null {
  if (base.kind !== "generate" || compressed.kind !== "generate") return null;
  const length = Math.max(base.ids.length, compressed.ids.length);
  for (let i = 0; i < length; i++) if (base.ids[i] !== compressed.ids[i]) return i;
  return null;
}
