import { z } from "zod";
import { devices, precisions } from "../engine/engine.js";
import { methods } from "../methods/registry.js";
import { MAX_FEW_SHOT, MAX_NEW_TOKENS } from "../tasks/schema.js";

/** Entries of one list; the grid's own limit is MAX_CELLS. */
const MAX_LIST = 256;
const MAX_TOKENS = 2 ** 24;
const MAX_ITEMS = 1e7;

const line = z
  .string()
  .min(1, "must not be empty")
  .regex(/^[^\p{Cc}]*$/u, "must be one line without control characters");
const name = z
  .string()
  .regex(
    /^[A-Za-z0-9][\w.+-]{0,63}$/,
    "must be letters, digits, _, -, + and ., at most 64, beginning with one of the first two",
  )
  .describe("What it is called in results; its own last name where left out");
const seed = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
const length = z.int().min(2).max(MAX_TOKENS);
const items = z.int().min(1).max(MAX_ITEMS);
const listOf = <T extends z.ZodType>(entry: T) => z.array(entry).min(1, "needs at least one entry").max(MAX_LIST);

const model = z.union(
  [line, z.strictObject({ path: line, name: name.optional() })],
  "must be a folder or org/name, or {path, name}",
);

const calibration = z.union(
  [
    line,
    z.strictObject({
      source: line,
      name: name.optional(),
      samples: items.optional().describe("Windows; 128 where left out"),
      sequence_length: length.optional().describe("Tokens a window; 2048, or the model's longest, where left out"),
      sampling: z.enum(["default", "reference"]).optional().describe("reference: as the methods' published code draws"),
    }),
  ],
  "must be a data source, or {source, name, samples, sequence_length, sampling}",
);

const method = z.union(
  [
    z.enum(methods.map((one) => one.name)),
    z.strictObject({
      name: z.enum(methods.map((one) => one.name)),
      options: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])).optional(),
    }),
  ],
  `must be one of ${methods.map((one) => one.name).join(", ")}, or {name, options}`,
);

const data = z.union(
  [
    line,
    z.strictObject({
      source: line,
      name: name.optional(),
      sequence_length: length.optional(),
      windows: items.optional().describe("Only the first so many windows"),
    }),
  ],
  "must be a data source, or {source, name, sequence_length, windows}",
);

const howToAsk = {
  limit: items.optional().describe("Only the first so many items"),
  few_shot: z
    .int()
    .min(0)
    .max(MAX_FEW_SHOT)
    .optional()
    .describe("Examples in front of each prompt, in place of the task's own number"),
  max_new_tokens: z
    .int()
    .min(1)
    .max(MAX_NEW_TOKENS)
    .optional()
    .describe("Tokens of an answer, in place of the task's own limit"),
};
const task = z.union(
  [line, z.strictObject({ task: line, ...howToAsk })],
  "must be a task's name, or {task, limit, few_shot, max_new_tokens}",
);

const share = z.number().min(0).lt(1, "must be below 1");
const pattern = z.string().regex(/^\d+:\d+$/, "must be n:m, such as 2:4");

/** A study file, with what it leaves out filled in. */
export const studySchema = z.strictObject({
  name: name.optional().describe("Name of the study; the file's name where left out"),
  models: listOf(model).describe(
    "Base models: folders with config.json and safetensors files, or org/name[@revision] of the Hugging Face hub",
  ),
  methods: listOf(method).describe("Compression methods: pare list methods"),
  sparsities: z.array(share).max(MAX_LIST).default([]).describe("Shares of zeros, 0 to below 1"),
  patterns: z.array(pattern).max(MAX_LIST).default([]).describe("n:m, n zeros of every m consecutive inputs"),
  calibration: z
    .array(calibration)
    .max(MAX_LIST)
    .default([])
    .describe("Text that methods look at: files, or names from pare list data"),
  samples: items.optional().describe("Calibration windows, where a source does not say"),
  sequence_length: length
    .optional()
    .describe("Tokens a window, of calibration and evaluation, where a source does not say"),
  seeds: listOf(seed).default([0]).describe("Of the choice of calibration windows; several show how much it matters"),
  only: z.array(line).max(MAX_LIST).default([]).describe("Compress these weights or layers alone"),
  skip: z.array(line).max(MAX_LIST).default([]).describe("Leave these weights or layers dense"),
  data: z.array(data).max(MAX_LIST).default([]).describe("Text to measure on: files, or names from pare list data"),
  tasks: z.array(task).max(MAX_LIST).default([]).describe("Names from pare list tasks, or files that end in .yaml"),
  ...howToAsk,
  chat: z.enum(["auto", "on", "off"]).default("auto").describe("Whether prompts go through the model's chat template"),
  system_prompt: z.string().optional(),
  noise_floor: z
    .boolean()
    .default(true)
    .describe("Also the base against itself under rounding noise: less means nothing"),
  per_token: z.boolean().default(true).describe("Keep every position's figures, as Parquet"),
  sample: z.boolean().default(true).describe("Keep some text with both models' likeliest next tokens, for reading"),
  blocks: z
    .boolean()
    .default(false)
    .describe("Also each block's compressed weights alone in the base, on the first data source: slow"),
  budget: z
    .strictObject({
      jsd: z.number().positive().optional().describe("Mean Jensen-Shannon divergence, nats"),
      perplexity_ratio: z.number().min(1).optional().describe("Compressed / base"),
      task_loss: z.number().positive().lt(1).optional().describe("Share of the base's score"),
    })
    .optional()
    .describe("What a compressed model may cost: the report names the best within it"),
  keep: z.enum(["none", "all"]).default("none").describe("Compressed checkpoints: dropped when measured, or kept"),
  engine: line.optional().describe("pare list engines; auto where left out"),
  device: z.enum(devices).optional().describe("What the engine onnxruntime computes on; cpu where left out"),
  precision: z.enum(precisions).optional().describe("Of matrix products; the engine's own where left out"),
  threads: z.int().min(1).max(4096).optional(),
});

/** The file as it is written: with short forms. */
export type StudyFile = z.infer<typeof studySchema>;
