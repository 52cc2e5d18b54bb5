import { z } from "zod";
import { choiceMetrics, lastWordMetrics } from "../metrics/choice/registry.js";
import { textMetrics } from "../metrics/text/registry.js";
import { ANSWERS } from "./extract.js";

/** Few-shot examples beyond this fill any context. */
export const MAX_FEW_SHOT = 64;
export const MAX_NEW_TOKENS = 65_536;
const MAX_SEED = 2 ** 53 - 1;
/** Entries of a list in a task file: candidates, choices, stop strings. */
const MAX_LIST = 64;

const text = z.string().min(1, "must not be empty");
const line = text.regex(/^[^\n\r]*$/, "must be one line");

/**
 * A template, or a list of them. A template that is nothing but one field (`{{ answers }}`) stands for the field's value,
 * whatever its type; all others give text.
 */
const value = z.union([text, z.array(text).min(1).max(MAX_LIST)], "must be a template or a list of templates");
export type Value = z.infer<typeof value>;

/** One place where the data may lie, `hf://datasets/org/name[@revision]/path` on the hub say; the first that is there is taken. */
const candidate = z.union(
  [
    line.transform((file) => ({ file })),
    z.strictObject({
      file: line,
      /** What the record consists of, where the file's own columns are called or made otherwise. */
      fields: z.record(z.string(), value).optional(),
    }),
    /** Comes with the package. */
    z.strictObject({ carried: line.regex(/^[\w.-]+$/, "must be a plain file name") }),
  ],
  "must be a file name, or {file, fields}",
);
const candidates = z.array(candidate).min(1).max(MAX_LIST);
export type Candidate = z.infer<typeof candidate>;

/** Examples in front of a prompt. */
const fewShot = z.strictObject({
  count: z.int().min(0).max(MAX_FEW_SHOT).default(0),
  seed: z.int().min(0).max(MAX_SEED).default(0),
  separator: z.string().default("\n\n"),
  /** Over the record, the rendered `prompt` and the first reference, `target`, whatever the record has under these names. */
  template: text.default("{{ prompt }} {{ target }}"),
});

const common = {
  name: z.string().regex(/^[A-Za-z0-9][\w.-]{0,63}$/, "must be letters, digits, _, - and ., at most 64"),
  /** Raised whenever scores are no longer comparable with earlier ones. */
  version: z.int().min(1),
  summary: line,
  licence: line.default("not said"),
  source: line.default("not said"),
  data: z.strictObject({ test: candidates, few_shot: candidates.optional() }),
  /** A Jinja expression over the record and its `index`: rows for which it is false are no items. */
  where: line.optional(),
  /** Stands once in front of examples and prompt. */
  description: z.string().default(""),
  few_shot: fewShot.prefault({}),
};
const metricsOf = (registry: readonly { readonly name: string }[]) =>
  z.array(z.enum(registry.map(({ name }) => name))).min(1);

const prompts = { prompt: text, chat_prompt: text.optional() };

const generate = z.strictObject({
  ...common,
  ...prompts,
  kind: z.literal("generate"),
  target: value,
  /** The prompt is a text to go on with, no question: not put into a chat template unless that is asked for. */
  completion: z.boolean().default(false),
  answer: z.enum(ANSWERS).default("whole"),
  stop: z.array(text).max(MAX_LIST).default([]),
  max_new_tokens: z.int().min(1).max(MAX_NEW_TOKENS),
  metrics: metricsOf(textMetrics),
});

const choice = z.strictObject({
  ...common,
  kind: z.literal("choice"),
  /** One text for all choices; a list for partial evaluation: a context for each choice, which end alike. */
  prompt: value,
  chat_prompt: text.optional(),
  choices: value,
  /** The index of the right choice, or its label. */
  gold: text,
  /** The choices' labels, where the data name the right one by a label. */
  labels: value.optional(),
  metrics: metricsOf(choiceMetrics),
});

const lastWord = z.strictObject({
  ...common,
  ...prompts,
  kind: z.literal("last-word"),
  target: text,
  metrics: metricsOf(lastWordMetrics),
});

/** The schema of a kind of task. */
export const taskSchemas = { generate, choice, "last-word": lastWord } as const;

export type TaskDefinition = z.infer<typeof generate> | z.infer<typeof choice> | z.infer<typeof lastWord>;
