import { InputError } from "../errors.js";
import type { Model } from "../model/model.js";
import type { OnProgress } from "../progress.js";
import { type LoadItemsOptions, loadItems, type TaskItems } from "../tasks/items.js";
import { loadTask } from "../tasks/load.js";
import type { Task } from "../tasks/task.js";
import { type ChatTemplate, loadChatTemplate } from "../tokenizer/chat-template.js";
import type { EncodedPrompt } from "../tokenizer/prompt.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { createEncoder, type Encoder, type PromptText } from "./encode.js";
import type { TaskOptions } from "./options.js";

/** What tasks are prepared with. */
export interface TaskModels {
  readonly model: Model;
  readonly base: Model | undefined;
  readonly tokenizer: Tokenizer;
}

/** A task with its items as the models read them. */
export interface EncodedTask {
  readonly task: Task;
  readonly loaded: TaskItems;
  readonly encoder: Encoder;
  readonly chat: boolean;
  /** Of each item: one for each choice, or one. */
  readonly prompts: readonly (readonly PromptText[])[];
  readonly encoded: readonly EncodedPrompt[];
}

/** Tasks with their items, ready to be put to the models. */
export interface PreparedTasks {
  readonly tokenizer: Tokenizer;
  /** The chat template's own text, where there is one and it may be used. */
  readonly chatTemplate: string | undefined;
  /** Tokens that the models take, prompt and answer together. */
  readonly maxTokens: number;
  readonly tasks: readonly EncodedTask[];
}

/** Where tasks and their items are read from, beside how they are put. */
interface PrepareOptions extends TaskOptions {
  /** Built-in names, or files that end in .yaml. */
  readonly tasks: readonly string[];
  readonly dataDirectory?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress | undefined;
}

/** Reads the tasks and their items, before anything is computed: every mistake in them shows first. Throws InputError. */
export async function prepareTasks(models: TaskModels, options: PrepareOptions): Promise<PreparedTasks> {
  const { path: directory } = (models.base ?? models.model).checkpoint;
  const template = options.chat === "off" ? undefined : await loadChatTemplate(directory);
  if (options.chat === "on" && !template) {
    throw new InputError(`--chat on: ${directory} has no chat template (chat_template.jinja or tokenizer_config.json)`);
  }
  if (options.systemPrompt !== undefined && !template) {
    throw new InputError(`--system-prompt: it is part of a chat, and ${directory} has no chat template`);
  }
  const loaded: Task[] = [];
  for (const name of options.tasks) {
    const task = await loadTask(name, options.signal);
    if (loaded.some((other) => other.name === task.name)) {
      throw new InputError(`--task ${name}: the task ${task.name} is there twice`);
    }
    loaded.push(task);
  }
  const tasks: EncodedTask[] = [];
  for (const task of loaded) tasks.push(await prepareTask(models, options, task, template));
  return { tokenizer: models.tokenizer, chatTemplate: template?.source, maxTokens: maxTokensOf(models), tasks };
}

function maxTokensOf({ model, base }: Pick<TaskModels, "model" | "base">): number {
  return Math.min(model.architecture.maxTokens, (base ?? model).architecture.maxTokens);
}

async function prepareTask(
  { model, base, tokenizer }: TaskModels,
  { limit, fewShot, seed, chat: mode, systemPrompt, maxNewTokens, dataDirectory, signal, onProgress }: PrepareOptions,
  task: Task,
  template: ChatTemplate | undefined,
): Promise<EncodedTask> {
  const maxTokens = maxTokensOf({ model, base });
  const newTokens = task.kind === "generate" ? (maxNewTokens ?? task.max_new_tokens) : 0;
  if (newTokens >= maxTokens) {
    const place = maxNewTokens === undefined ? task.locate("max_new_tokens") : "--max-new-tokens";
    throw new InputError(
      `${place}: ${newTokens} leaves no room for the prompt: the model takes ${maxTokens} tokens, prompt and answer ` +
        "together; give a smaller --max-new-tokens",
    );
  }
  const loadOptions: LoadItemsOptions = { dataDirectory, limit, fewShot, seed, signal, onProgress };
  const loaded = await loadItems(task, loadOptions);
  const asks = task.kind === "generate" && !task.completion;
  const chat = template !== undefined && (mode === "on" || asks);
  const encoder = createEncoder({
    tokenizer,
    template: chat ? template : undefined,
    system: systemPrompt,
    maxTokens,
  });
  const prompts = loaded.items.map((item) => encoder.prompts(item));
  const encoded = prompts.map(([first]) => encoder.encode(first!));
  for (const [i, { ids }] of encoded.entries()) {
    if (ids.length === 0 && task.kind === "generate") {
      throw new InputError(`${loaded.files[0]!.path}: the prompt of item ${loaded.items[i]!.id} is empty`);
    }
  }
  return { task, loaded, encoder, chat, prompts, encoded };
}
