import type { SourceFile } from "../data/source.js";
import type { TaskDefinition } from "./schema.js";

export const TASK_KINDS = ["generate", "choice", "last-word"] as const;

/**
 * `generate`: the model writes an answer. `choice`: the likelier of several continuations is its answer.
 * `last-word`: whether the model would write exactly this continuation.
 */
export type TaskKind = (typeof TASK_KINDS)[number];

/** A task as its file says it, with the file. */
export type Task = TaskDefinition & {
  readonly file: SourceFile;
  /** Folder to which the names of its data files are relative; a built-in task's are in the user's data folder. */
  readonly folder: string | undefined;
  /** Where a key stands in the file, as errors name it: `task.yaml: line 12: prompt`. */
  locate(key: string): string;
};

interface ItemBase {
  /** The task's name and the index: `squad/17`. */
  readonly id: string;
  /** 0-based position in the data set's file, whatever is left out before it. */
  readonly index: number;
  /** What a model without a chat template reads, examples in front. */
  readonly prompt: string;
  /** What a model with one reads as the user's message. */
  readonly chat: string;
  /** Right answers, at least one. */
  readonly references: readonly string[];
  /** The row of the data set. */
  readonly record: Readonly<Record<string, unknown>>;
}

interface GenerateItem extends ItemBase {
  readonly kind: "generate";
}

/** Continuation i is scored as ` ${choices[i]}` (CONTINUATION_SEPARATOR) after contexts[i]. */
export interface ChoiceItem extends ItemBase {
  readonly kind: "choice" | "last-word";
  /** As many as choices; all the same but in tasks of partial evaluation (WinoGrande), where only the contexts differ. */
  readonly contexts: readonly string[];
  readonly choices: readonly string[];
  /** Index of the right choice. */
  readonly gold: number;
}

export type Item = GenerateItem | ChoiceItem;

/** Stands between a context and its continuation, as lm-evaluation-harness has it; no part of the choice. */
export const CONTINUATION_SEPARATOR = " ";
