import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Device, Precision } from "../engine/engine.js";
import { isFile } from "../files.js";
import type { StudyOverrides } from "../study/load.js";
import {
  dataDirectoryOf,
  dataDirOption,
  deviceOption,
  engineOption,
  type GlobalFlags,
  number,
  precisionOption,
  threadsOption,
  wholeNumber,
} from "./options.js";
import { describePlan, describeStudy } from "./study-text.js";
import type { Terminal } from "./terminal.js";

/** What commander makes of the options. */
interface StudyFlags extends GlobalFlags {
  readonly output?: string;
  readonly dryRun?: boolean;
  readonly shard?: string;
  readonly dataDir?: string;
  readonly model?: readonly string[];
  readonly method?: readonly string[];
  readonly sparsity?: readonly number[];
  readonly pattern?: readonly string[];
  readonly calibration?: readonly string[];
  readonly samples?: number;
  readonly sequenceLength?: number;
  readonly seed?: readonly number[];
  readonly data?: readonly string[];
  readonly task?: readonly string[];
  readonly limit?: number;
  readonly keep?: "none" | "all";
  readonly mlflow?: string;
  readonly engine?: string;
  readonly device?: Device;
  readonly precision?: Precision;
  readonly threads?: number;
}

const HELP = `
Everything that is computed lies in the folder at once: the same command goes on where a run was stopped, several processes
may work on one folder, and after a change of the file only what it touches is computed again. Options stand in place of
the file's own lines. pare init writes a file to begin with.`;

export function addStudy(program: Command, terminal: Terminal): void {
  program
    .command("study")
    .description("compress by several methods, sparsities and calibration sources, and measure every result")
    .argument("<study>", "the study file: YAML")
    .option("-o, --output <folder>", "folder of the results; the study's name where left out")
    .option("--dry-run", "list the cells with about how long they take and how much disk, and compute nothing")
    .option("--shard <i/n>", "compute the i-th of n parts, for machines that share the folder")
    .option("--model <folder...>", "base models")
    .option("--method <name...>", "methods: pare list methods")
    .option("--sparsity <share...>", "shares of zeros", listOf(number(0)))
    .option("--pattern <n:m...>", "patterns, such as 2:4")
    .option("--calibration <source...>", "text that methods look at")
    .option("--samples <n>", "calibration windows", wholeNumber(1))
    .option("--sequence-length <n>", "tokens in a window", wholeNumber(2))
    .option("--seed <n...>", "seeds of the choice of calibration windows", listOf(wholeNumber(0)))
    .option("--data <source...>", "text to measure on")
    .option("--task <name...>", "tasks: pare list tasks")
    .option("--limit <n>", "only the first n items of each task", wholeNumber(1))
    .addOption(
      new Option("--keep <which>", "compressed checkpoints: dropped when measured, or kept").choices(["none", "all"]),
    )
    .option("--mlflow <uri>", "log options, figures and the report to this MLflow server")
    .addOption(engineOption())
    .addOption(deviceOption())
    .addOption(precisionOption())
    .addOption(threadsOption())
    .addOption(dataDirOption())
    .addHelpText("after", HELP)
    .action(async (file: string, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<StudyFlags>();
      const { output, shard } = flags;
      const { signal, onProgress } = terminal;
      const options = {
        study: file,
        overrides: await overridesOf(flags),
        ...(output === undefined ? {} : { output }),
        ...(shard === undefined ? {} : { shard }),
        ...dataDirectoryOf(flags),
        signal,
        onProgress,
      };
      if (flags.dryRun) {
        const { planStudy } = await import("../study/estimate.js");
        const plan = await planStudy(options);
        terminal.show(plan, flags.json, () => describePlan(plan));
        return;
      }
      terminal.stopped = "stopped; what is done is kept. The same command goes on from there.";
      const { study } = await import("../study/run.js");
      const result = await study(options);
      const { record, cells, failed, computed, output: directory } = result;
      const { report, text } = cells.length > 0 ? await writeStudyReport(directory) : {};
      if (flags.mlflow !== undefined) {
        const { mlflowCredentials } = await import("../tracking/client.js");
        const { logToMlflow } = await import("../tracking/mlflow.js");
        const onWarning = (message: string) => terminal.say(`warning: ${message}`);
        const credentials = mlflowCredentials(process.env);
        const options = { study: record, cells, credentials, signal, onWarning, ...(report ? { report } : {}) };
        const { url } = await logToMlflow(flags.mlflow, options);
        terminal.say(`logged to ${url}`);
      }
      const summary = { output: directory, report: report ?? null, cells: record.cells.length, computed, failed };
      terminal.show(summary, flags.json, () =>
        [text, describeStudy(result), ...(report ? [`report: ${report}`] : [])].filter((part) => part).join("\n\n"),
      );
      if (failed.length === 0) return;
      for (const { error, id } of failed) terminal.say(`error: cell ${id}: ${error}`);
      terminal.say(`${failed.length} of ${record.cells.length} cells failed; the same command tries them again.`);
      process.exitCode = 1;
    });
}

/** report.html in the study's folder, and what the terminal shows of it. */
async function writeStudyReport(directory: string): Promise<{ report: string; text: string }> {
  const { readReport } = await import("../report/read-report.js");
  const { writeReport } = await import("../report/write.js");
  const { terminalReport } = await import("../report/terminal.js");
  const document = await readReport(directory);
  const report = join(directory, "report.html");
  await writeReport(document, report);
  return { report, text: terminalReport(document.data) };
}

/** Files are named from where the command is typed, those in the study file from where that lies. */
async function overridesOf(flags: StudyFlags): Promise<StudyOverrides> {
  const file = async (name: string) => ((await isFile(name)) ? resolve(name) : name);
  // What is not there may be a name of the hub.
  const model = async (name: string) => ((await stat(name).catch(() => undefined)) ? resolve(name) : name);
  const files = async (names: readonly string[] | undefined) => names && Promise.all(names.map(file));
  const copy = <T>(values: readonly T[] | undefined) => values && [...values];
  return {
    models: flags.model && (await Promise.all(flags.model.map(model))),
    methods: copy(flags.method),
    sparsities: copy(flags.sparsity) ?? (flags.pattern ? [] : undefined),
    patterns: copy(flags.pattern) ?? (flags.sparsity ? [] : undefined),
    calibration: await files(flags.calibration),
    samples: flags.samples,
    sequence_length: flags.sequenceLength,
    seeds: copy(flags.seed),
    data: await files(flags.data),
    tasks: await files(flags.task),
    limit: flags.limit,
    keep: flags.keep,
    engine: flags.engine,
    device: flags.device,
    precision: flags.precision,
    threads: flags.threads,
  };
}

/** Parses every value of an option that takes several. */
function listOf<T>(parse: (text: string) => T): (text: string, before?: readonly T[]) => T[] {
  return (text, before = []) => {
    const value = parse(text);
    if (before.includes(value)) throw new InvalidArgumentError("It is there twice.");
    return [...before, value];
  };
}
