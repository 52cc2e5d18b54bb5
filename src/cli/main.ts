#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { AbortError, InputError, RunError } from "../errors.js";
import { version } from "../version.js";
import { addCompress } from "./compress.js";
import { addDoctor } from "./doctor.js";
import { addEvaluate } from "./evaluate.js";
import { addInit } from "./init.js";
import { addInspect } from "./inspect.js";
import { addList } from "./list.js";
import type { GlobalFlags } from "./options.js";
import { addReport } from "./report.js";
import { addServe } from "./serve.js";
import { addStudy } from "./study.js";
import { systemRefusal } from "./system-refusal.js";
import { openTerminal, type Terminal } from "./terminal.js";
import { addValidate } from "./validate.js";

const EXAMPLES = `
Examples:
  $ pare compress ./Llama-3.2-1B --method wanda --sparsity 0.5 --calibration c4 -o ./Llama-3.2-1B-wanda
  $ pare compress ./Llama-3.2-1B --method sparsegpt --pattern 2:4 --calibration text.jsonl --samples 64 -o ./out
  $ pare evaluate ./out --base ./Llama-3.2-1B --data wikitext2
  $ pare evaluate ./out --base ./Llama-3.2-1B --data wikitext2 --json --max-jsd 0.05    # for CI: exit code 3 when missed
  $ pare evaluate ./out --base ./Llama-3.2-1B --task squad --task arc_easy -o ./results
  $ pare init study.yaml && pare study study.yaml
  $ pare inspect ./out

MODEL is a folder with config.json and safetensors files, as Hugging Face saves it, a GGUF file, or org/name[@revision] of the
Hugging Face hub, downloaded once into the cache that other programs use too.

Environment:
  PARE_DATA  folder with data sets, where --data-dir is not given
  HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE, HF_ENDPOINT  the Hugging Face hub, as huggingface_hub reads them

Exit codes: 0 done; 1 failed; 2 the command or its input is wrong; 3 a gate was missed; 130 stopped by Ctrl-C.`;

const terminal = openTerminal();
const program = createProgram(terminal);
try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error, program.opts<GlobalFlags>().debug ?? false, terminal);
} finally {
  terminal.close();
}

function createProgram(terminal: Terminal): Command {
  const program = new Command("pare")
    .description("Compress a large language model, and see what it really cost.")
    .version(version)
    .option("--json", "print one JSON document on stdout")
    .option("--debug", "print the stack of an error")
    .addHelpText("after", EXAMPLES)
    .exitOverride()
    // Commander puts its suggestions on a line of their own.
    .configureOutput({ outputError: (text) => terminal.say(text.trim()) })
    .configureHelp({ showGlobalOptions: true });
  for (const add of [
    addCompress,
    addEvaluate,
    addInit,
    addStudy,
    addReport,
    addServe,
    addInspect,
    addValidate,
    addList,
    addDoctor,
  ])
    add(program, terminal);
  return program;
}

/** Tells the user what went wrong, in one line; returns the exit code. */
function report(error: unknown, debug: boolean, terminal: Terminal): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // commander has printed it
  if (terminal.signal.aborted && (error instanceof AbortError || (error as Error).name === "AbortError")) {
    terminal.say(terminal.stopped);
    return 130;
  }
  // What the operating system refused (a full disk, a missing permission) is not pare's fault either.
  const refusal = systemRefusal(error);
  const message = refusal ?? (error instanceof Error ? error.message : String(error));
  const isUsers = error instanceof InputError || error instanceof RunError;
  if (isUsers || refusal !== undefined) terminal.say(`error: ${message}`);
  else terminal.say(`error: ${message} (this is a defect of pare${debug ? "" : "; --debug shows where it happened"})`);
  if (debug && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return error instanceof InputError ? 2 : 1;
}
