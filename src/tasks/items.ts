import { setImmediate } from "node:timers/promises";
import type { SourceFile } from "../data/source.js";
import { InputError, throwIfAborted } from "../errors.js";
import { createMersenneTwister } from "../random/mersenne.js";
import { compileExample, compileQuestions, type Question } from "./questions.js";
import { type Row, type Rows, type RowsOptions, readRows } from "./rows.js";
import type { Item, Task } from "./task.js";

export interface LoadItemsOptions extends RowsOptions {
  /** Only the first so many items. */
  readonly limit?: number | undefined;
  /** Examples in front of a prompt; what the task says where not given. */
  readonly fewShot?: number | undefined;
  /** Of the examples; what the task says where not given. */
  readonly seed?: number | undefined;
}

export interface TaskItems {
  readonly items: readonly Item[];
  /** What they were read from: the test data, and the examples' data where these are others. */
  readonly files: readonly SourceFile[];
  /** Rows of the test data, also those that are no items. */
  readonly rows: number;
  readonly fewShot: number;
  readonly seed: number;
}

/** Items between two looks at the AbortSignal. */
const BATCH = 256;

/**
 * The items of a task, in the order of its data; an item's examples do not depend on the limit. Throws InputError naming
 * file, line and key for data that do not fit the task, and where there is no item at all.
 */
export async function loadItems(task: Task, options: LoadItemsOptions = {}): Promise<TaskItems> {
  const { limit = Number.POSITIVE_INFINITY, signal } = options;
  const { count: fewShot, seed } = {
    count: options.fewShot ?? task.few_shot.count,
    seed: options.seed ?? task.few_shot.seed,
  };
  const question = compileQuestions(task);
  const rows = await readRows(task, "test", options);
  const pool = fewShot > 0 && task.data.few_shot ? await readRows(task, "few_shot", options) : rows;
  const draw = createDraw(task, pool, question, fewShot, seed);

  const items: Item[] = [];
  for (let index = 0; index < rows.length && items.length < limit; index++) {
    if (index % BATCH === 0) {
      await setImmediate();
      throwIfAborted(signal);
    }
    const row = rows.at(index);
    if (!row) continue;
    const asked = question(row);
    const examples = draw(row, asked, rows.file);
    items.push(
      itemOf(task, row, asked, task.description + examples.map((text) => text + task.few_shot.separator).join("")),
    );
  }
  if (items.length === 0) throw new InputError(`${rows.file.path}: no items for the task ${task.name}`);
  return { items, files: pool === rows ? [rows.file] : [rows.file, pool.file], rows: rows.length, fewShot, seed };
}

function itemOf(task: Task, row: Row, asked: Question, front: string): Item {
  const { index, record } = row;
  const { references, choices, gold } = asked;
  const contexts = asked.contexts.map((context) => front + context);
  const [prompt = ""] = contexts;
  const base = { id: `${task.name}/${index}`, index, prompt, chat: front + asked.chat, references, record };
  if (task.kind === "generate" || !choices || gold === undefined) return { kind: "generate", ...base };
  return {
    kind: task.kind,
    ...base,
    contexts: contexts.length === 1 ? choices.map(() => prompt) : contexts,
    choices,
    gold,
  };
}

/**
 * A function that draws an item's examples, item after item, without replacement and never the item itself: neither its row
 * nor another one that asks the same.
 */
function createDraw(
  task: Task,
  pool: Rows,
  question: (row: Row) => Question,
  count: number,
  seed: number,
): (row: Row, asked: Question, file: SourceFile) => string[] {
  const random = createMersenneTwister(seed);
  const exampleOf = compileExample(task);
  const read = new Map<number, { text: string; asked: Question } | undefined>();

  function example(index: number): { text: string; asked: Question } | undefined {
    if (!read.has(index)) {
      const row = pool.at(index);
      const asked = row && question(row);
      read.set(index, row && asked ? { asked, text: exampleOf(row, asked) } : undefined);
    }
    return read.get(index);
  }

  return (row, asked, file) => {
    const drawn = new Set<number>();
    const texts: string[] = [];
    const isSame = (index: number, other: Question): boolean =>
      (index === row.index && pool.file.sha256 === file.sha256) || other.contexts.join() === asked.contexts.join();
    while (texts.length < count) {
      if (drawn.size === pool.length) {
        throw new InputError(`${pool.file.path}: not enough rows for ${count} examples beside ${row.place}`);
      }
      const index = random.below(pool.length);
      if (drawn.has(index)) continue;
      drawn.add(index);
      const found = example(index);
      if (found && !isSame(index, found.asked)) texts.push(found.text);
    }
    return texts;
  };
}
