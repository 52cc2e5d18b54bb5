import { type Command, InvalidArgumentError, Option } from "commander";
import type { EvaluateOptions } from "../evaluate.js";
import { describeEvaluation } from "./evaluation-text.js";
import { checkGates, checkScoreGates, type GateFlags, judge, missedGates, scoreGate } from "./gates.js";
import {
  byteSize,
  dataDirectoryOf,
  dataDirOption,
  deviceOption,
  engineOption,
  type GlobalFlags,
  MODEL_HELP,
  number,
  precisionOption,
  profileOption,
  repeated,
  revisionOption,
  threadsOption,
  wholeNumber,
} from "./options.js";
import type { Terminal } from "./terminal.js";

/** What commander makes of the options; they have the library's names, `--task` in the singular. */
type EvaluateFlags = GlobalFlags &
  GateFlags &
  Omit<EvaluateOptions, "model" | "tasks" | "dataDirectory" | "signal" | "onProgress"> & {
    readonly dataDir?: string;
    readonly task?: readonly string[];
  };

const HELP = `
With -o FOLDER, everything that is computed goes into FOLDER/journal.jsonl at once. When a run was stopped, the same
command goes on from there. Several models may share a folder, one command after the other: what their base answered is
then computed once. results.json and items.jsonl are those of the last command; an earlier one, given again, computes
nothing and writes its own again.`;

export function addEvaluate(program: Command, terminal: Terminal): void {
  program
    .command("evaluate")
    .description("measure a model on text and on tasks, alone or against its base")
    .argument("<model>", MODEL_HELP)
    .addOption(revisionOption())
    .option("--data <source>", "text to measure on: a file, or a name from pare list data", onlyOnce)
    .option("--base <model>", "the model it was made from: adds divergences at every position")
    .option("--sequence-length <n>", "tokens in a window", wholeNumber(2))
    .option("--windows <n>", "windows to measure, from the start of the text", wholeNumber(1))
    .option("--per-token <file>", "write every position's figures: .jsonl or .parquet")
    .option("--noise-floor", "also compare the base with itself under rounding noise: less means nothing")
    .option(
      "--task <name>",
      "a task: a name from pare list tasks, or a file that ends in .yaml; may be repeated",
      repeated,
    )
    .option("--limit <n>", "only the first n items of each task", wholeNumber(1))
    .option("--few-shot <n>", "examples in front of each prompt, in place of the task's own number", wholeNumber(0))
    .option("--seed <n>", "of examples, sampling and tests of significance; 0 where left out", wholeNumber(0))
    .addOption(
      new Option(
        "--chat <mode>",
        "use the model's chat template; auto: for tasks that ask a question, where it has one",
      )
        .choices(["auto", "on", "off"])
        .default("auto"),
    )
    .option("--system-prompt <text>", "the chat's system message")
    .option("--max-new-tokens <n>", "tokens of an answer, in place of the task's own limit", wholeNumber(1))
    .option("--temperature <t>", "draw tokens instead of taking the likeliest", number(0))
    .option("--top-k <n>", "draw from the n likeliest tokens only", wholeNumber(1))
    .option("--top-p <share>", "draw from the likeliest tokens that make up this probability", number(0))
    .option("--batch <n>", "prompts that are answered at once; 16 where left out", wholeNumber(1))
    .option(
      "--memory <size>",
      "keep the process below this, such as 4GiB; generation takes half of what is free where left out",
      byteSize,
    )
    .option("-o, --output <folder>", "keep results, every item's answers and a journal there (see below)")
    .option("--max-jsd <nats>", "exit with code 3 when the mean Jensen-Shannon divergence is above this", number(0))
    .option("--max-perplexity-ratio <ratio>", "exit with code 3 when compressed / base is above this", number(0))
    .option("--min-score <task.metric=score>", "exit with code 3 when a task's score is below this", scoreGate)
    .addOption(engineOption())
    .addOption(deviceOption())
    .addOption(precisionOption())
    .addOption(threadsOption())
    .addOption(profileOption())
    .addOption(dataDirOption())
    .addHelpText("after", HELP)
    .action(async (model: string, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<EvaluateFlags>();
      checkGates(flags, flags);
      const { signal, onProgress } = terminal;
      const { task: tasks = [], minScore = [], ...options } = flags;
      if (minScore.length > 0) {
        const { loadTask } = await import("../tasks/load.js");
        checkScoreGates(minScore, await Promise.all(tasks.map((name) => loadTask(name, signal))));
      }
      if (flags.output !== undefined) {
        terminal.stopped = `stopped; what is done is kept in ${flags.output}. The same command goes on from there.`;
      }
      const { evaluate } = await import("../evaluate.js");
      const result = await evaluate({ ...options, ...dataDirectoryOf(flags), model, tasks, signal, onProgress });
      const gates = judge(flags, result);
      terminal.show(gates ? { ...result, gates } : result, flags.json, () => describeEvaluation(result));
      if (!gates || gates.passed) return;
      terminal.say(missedGates(gates, result.data ? result.nonFinite : 0));
      process.exitCode = 3;
    });
}

/** A second text would else silently stand in place of the first. */
function onlyOnce(value: string, before: string | undefined): string {
  if (before !== undefined) throw new InvalidArgumentError("It is there twice; pare study measures on several texts.");
  return value;
}
