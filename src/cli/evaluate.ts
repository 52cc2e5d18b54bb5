import type { Command } from "commander";
import type { EvaluateOptions } from "../evaluate.js";
import { describeEvaluation } from "./evaluation-text.js";
import { checkGates, type GateFlags, judge, missedGates } from "./gates.js";
import {
  dataDirectoryOf,
  dataDirOption,
  engineOption,
  type GlobalFlags,
  number,
  threadsOption,
  wholeNumber,
} from "./options.js";
import type { Terminal } from "./terminal.js";

/** What commander makes of the options; they have the library's names. */
type EvaluateFlags = GlobalFlags &
  GateFlags &
  Omit<EvaluateOptions, "model" | "dataDirectory" | "signal" | "onProgress"> & { readonly dataDir?: string };

export function addEvaluate(program: Command, terminal: Terminal): void {
  program
    .command("evaluate")
    .description("measure a model on text, alone or against its base")
    .argument("<model>", "folder of the model")
    .requiredOption("--data <source>", "text to measure on: a file, or a name from pare list data")
    .option("--base <model>", "folder of the model it was made from: adds divergences at every position")
    .option("--sequence-length <n>", "tokens in a window", wholeNumber(2))
    .option("--windows <n>", "windows to measure, from the start of the text", wholeNumber(1))
    .option("--per-token <file>", "write every position's figures: .jsonl or .parquet")
    .option("--noise-floor", "also compare the base with itself under rounding noise: less means nothing")
    .option("--max-jsd <nats>", "exit with code 3 when the mean Jensen-Shannon divergence is above this", number(0))
    .option("--max-perplexity-ratio <ratio>", "exit with code 3 when compressed / base is above this", number(0))
    .addOption(engineOption())
    .addOption(threadsOption())
    .addOption(dataDirOption())
    .action(async (model: string, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<EvaluateFlags>();
      checkGates(flags, flags.base);
      const { evaluate } = await import("../evaluate.js");
      const { signal, onProgress } = terminal;
      const result = await evaluate({ ...flags, ...dataDirectoryOf(flags), model, signal, onProgress });
      const gates = judge(flags, result);
      terminal.show(gates ? { ...result, gates } : result, flags.json, () => describeEvaluation(result));
      if (!gates || gates.passed) return;
      terminal.say(missedGates(gates, result.nonFinite));
      process.exitCode = 3;
    });
}
