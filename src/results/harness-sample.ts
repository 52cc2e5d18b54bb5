import { createHash } from "node:crypto";
import type { TaskRecord } from "../task-evaluation/evaluate-tasks.js";
import type { Answer, ItemResult } from "../task-evaluation/item-results.js";
import { CONTINUATION_SEPARATOR, type Task } from "../tasks/task.js";
import { pythonFloat, pythonList } from "./python-repr.js";

export type Side = "base" | "compressed";

/** The pipeline of filters that lm-evaluation-harness names where a task has none of its own. */
export const FILTER = "none";

/**
 * An item as a line of lm-evaluation-harness's samples: request by request, everything that is a response as text.
 * `doc_hash` equals its own where the record is the data set's row and holds no numbers that JavaScript and Python write
 * differently (1.0, 1e-7).
 */
export function harnessSample(item: ItemResult, side: Side, task: Task, record: TaskRecord) {
  const answer = side === "base" ? item.base! : item.compressed;
  const target = targetOf(item, record);
  const { resps, filtered } = responsesOf(answer);
  return {
    doc_id: item.index,
    doc: item.record,
    target,
    arguments: Object.fromEntries(
      argumentsOf(item, task, record).map(([prompt, second], i) => [`gen_args_${i}`, { arg_0: prompt, arg_1: second }]),
    ),
    resps,
    filtered_resps: filtered,
    filter: FILTER,
    metrics: Object.keys(item.scores),
    doc_hash: sha256(JSON.stringify(item.record, null, 2)),
    prompt_hash: item.promptSha256,
    target_hash: sha256(target),
    ...Object.fromEntries(Object.entries(item.scores).map(([metric, score]) => [metric, score[side]])),
  };
}

export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** What stands between a prompt and what is scored after it; a chat template ends where the answer begins. */
export function delimiterOf({ chat }: TaskRecord): string {
  return chat ? "" : CONTINUATION_SEPARATOR;
}

/** How answers are generated. */
export function generationArguments(task: Task, { maxNewTokens, sampling }: TaskRecord) {
  return {
    until: task.kind === "generate" ? task.stop : [],
    max_gen_toks: maxNewTokens,
    do_sample: sampling !== null,
    ...(sampling ? { temperature: sampling.temperature, top_k: sampling.topK, top_p: sampling.topP } : {}),
  };
}

/** Python's str() of what the harness's doc_to_target gives. */
function targetOf({ references, gold, contexts }: ItemResult, record: TaskRecord): string {
  if (record.kind === "generate") return references.length === 1 ? references[0]! : pythonList(references);
  if (record.kind === "last-word") return delimiterOf(record) + references[0]!;
  return contexts ? references[0]! : String(gold);
}

function argumentsOf(item: ItemResult, task: Task, record: TaskRecord): [prompt: string, second: unknown][] {
  const { choices, contexts, prompt } = item;
  if (!choices) return [[prompt, generationArguments(task, record)]];
  return choices.map((choice, i) => [contexts?.[i] ?? prompt, delimiterOf(record) + choice]);
}

function responsesOf(answer: Answer) {
  if (answer.kind === "generate") return { resps: [[answer.text]], filtered: [answer.prediction] };
  const responses = answer.logLikelihoods.map((value, i) => [
    pythonFloat(value ?? Number.NaN),
    answer.greedy[i] ? "True" : "False",
  ]);
  return { resps: responses.map((response) => [response]), filtered: responses };
}
