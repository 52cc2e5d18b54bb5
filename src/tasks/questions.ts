import { quote } from "../checkpoint/json.js";
import { InputError } from "../errors.js";
import { compileTemplate } from "../text/template.js";
import { type Row, withPlace } from "./rows.js";
import type { Task } from "./task.js";
import { compileValue, textOf, textsOf } from "./value.js";

/** What a task makes of a row, before any examples stand in front. */
export interface Question {
  /** One, or in tasks of partial evaluation one for each choice. */
  readonly contexts: readonly string[];
  readonly chat: string;
  readonly references: readonly string[];
  /** Absent where the model writes its answer. */
  readonly choices?: readonly string[];
  readonly gold?: number;
}

/**
 * Compiles the templates of a task. The function it returns throws InputError that names the row's place, the task's line and
 * key, and what is wrong: a field that is missing, an empty prompt or target, a gold that is no choice.
 */
export function compileQuestions(task: Task): (row: Row) => Question {
  const contextsOf = compileTexts(task, "prompt", task.prompt);
  const chatOf = task.chat_prompt === undefined ? undefined : compileTexts(task, "chat_prompt", task.chat_prompt);
  const answersOf = compileAnswers(task);
  return (row) =>
    withPlace(row.place, () => {
      const contexts = contextsOf(row);
      const answers = answersOf(row);
      if (contexts.length !== 1 && contexts.length !== answers.choices?.length) {
        throw new InputError(
          `${task.locate("prompt")}: ${contexts.length} texts; it takes one` +
            (answers.choices ? `, or one for each of ${answers.choices.length} choices` : ""),
        );
      }
      return { contexts, chat: (chatOf?.(row) ?? contexts)[0]!, ...answers };
    });
}

type Answers = Omit<Question, "contexts" | "chat">;

function compileAnswers(task: Task): (row: Row) => Answers {
  switch (task.kind) {
    case "generate": {
      const targets = compileTexts(task, "target", task.target);
      // Aliases repeat each other; the metrics take the best of all.
      return (row) => ({ references: [...new Set(targets(row))] });
    }
    case "last-word": {
      const target = compileTexts(task, "target", task.target);
      return (row) => {
        const references = target(row);
        return { references, choices: references, gold: 0 };
      };
    }
    case "choice": {
      const choicesOf = compileTexts(task, "choices", task.choices);
      const goldOf = compileValue(task.gold, task.locate("gold"));
      const labelsOf = task.labels === undefined ? undefined : compileTexts(task, "labels", task.labels);
      return (row) => {
        const choices = choicesOf(row);
        if (choices.length < 2) throw new InputError(`${task.locate("choices")}: fewer than two choices`);
        const gold = goldIndex(goldOf(row.record), labelsOf?.(row), choices.length, task.locate("gold"));
        return { references: [choices[gold]!], choices, gold };
      };
    }
  }
}

/** Texts of which none is blank, and at least one. */
function compileTexts(task: Task, key: string, value: string | string[]): (row: Row) => string[] {
  const where = task.locate(key);
  const read = compileValue(value, where);
  return ({ record }) => {
    const texts = textsOf(read(record), where);
    if (texts.length === 0 || texts.some((text) => text.trim() === "")) throw new InputError(`${where}: it is empty`);
    return texts;
  };
}

/** The index of the right choice: as the data give it (0, "0", or true for 1), or its label's place among the labels. */
function goldIndex(value: unknown, labels: readonly string[] | undefined, choices: number, where: string): number {
  const given = typeof value === "boolean" && !labels ? String(Number(value)) : textOf(value, where).trim();
  if (labels) {
    const index = labels.indexOf(given);
    if (index >= 0 && index < choices) return index;
    throw new InputError(`${where}: ${quote(given)} is not one of the labels ${labels.map(quote).join(", ")}`);
  }
  if (!/^-?\d+$/.test(given)) {
    throw new InputError(`${where}: ${quote(given)} is no index; name the choices' labels by the key labels`);
  }
  const index = Number(given);
  if (index >= 0 && index < choices) return index;
  throw new InputError(`${where}: ${given} is out of range: there are ${choices} choices, 0 to ${choices - 1}`);
}

/** A few-shot example's text: prompt and answer. */
export function compileExample(task: Task): (row: Row, question: Question) => string {
  const template = compileTemplate(task.few_shot.template, task.locate("few_shot.template"));
  return ({ record, place }, { contexts, references, gold }) => {
    const prompt = contexts.length === 1 ? contexts[0] : contexts[gold ?? 0];
    return withPlace(place, () => template.render({ ...record, prompt, target: references[0] }));
  };
}
