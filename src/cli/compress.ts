import { type Command, Option } from "commander";
import { WRITTEN_TYPES } from "../checkpoint/gguf/output.js";
import type { CompressOptions, CompressResult } from "../compress.js";
import { count, duration, percent, plural } from "./format.js";
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
  revisionOption,
  threadsOption,
  wholeNumber,
} from "./options.js";
import { describeProfile } from "./profile-text.js";
import type { Terminal } from "./terminal.js";

/** What commander makes of the options; they have the library's names, but for what is a method's own. */
type CompressFlags = GlobalFlags &
  Omit<CompressOptions, "model" | "methodOptions" | "dataDirectory" | "signal" | "onProgress"> & {
    readonly dataDir?: string;
    readonly damping?: number;
    readonly blockSize?: number;
  };

export function addCompress(program: Command, terminal: Terminal): void {
  program
    .command("compress")
    .description("prune a model and write it as a checkpoint of the same layout")
    .argument("<model>", MODEL_HELP)
    .addOption(revisionOption())
    .requiredOption("-o, --output <path>", "folder or GGUF file to write; appears whole or not at all")
    .requiredOption("--method <name>", "how to choose the weights that go: pare list methods")
    .option("--sparsity <share>", "share of zeros in every weight, from 0 to below 1")
    .option("--pattern <n:m>", "n zeros in every m consecutive inputs, 2:4 say")
    .option("--calibration <source>", "text to calibrate on: a file, or a name from pare list data")
    .option("--samples <n>", "calibration windows", wholeNumber(1))
    .option("--sequence-length <n>", "tokens in a window", wholeNumber(2))
    .option("--seed <n>", "seed of the random choice of windows", wholeNumber(0))
    .addOption(
      new Option("--sampling <way>", "how windows are chosen: reference is the published code's").choices([
        "default",
        "reference",
      ]),
    )
    .option("--only <glob...>", "compress these weights or layers alone: 'mlp.*', model.layers.0")
    .option("--skip <glob...>", "leave these weights or layers dense")
    .option("--damping <share>", "sparsegpt: share of the mean diagonal that is added to the Hessian's", number(0))
    .option("--block-size <n>", "sparsegpt: columns that are pruned together", wholeNumber(1))
    .addOption(
      new Option(
        "--format <name>",
        "hf: a folder as transformers saves it; sparse-bitmask: the same, zeros stored as bits (compressed-tensors); " +
          "gguf: one file for llama.cpp, -o NAME.gguf",
      ).choices(["hf", "sparse-bitmask", "gguf"]),
    )
    .addOption(
      new Option("--gguf-type <type>", "what matrices are written as in GGUF; f16 where left out").choices(
        WRITTEN_TYPES,
      ),
    )
    .option("--force", "replace an output that is there")
    .addOption(engineOption())
    .addOption(deviceOption())
    .addOption(precisionOption())
    .addOption(threadsOption())
    .option("--memory <size>", "keep the process below this, such as 4GiB; what does not fit lies on disk", byteSize)
    .addOption(profileOption())
    .addOption(dataDirOption())
    .action(async (model: string, _flags: unknown, command: Command) => {
      const { damping, blockSize, ...flags } = command.optsWithGlobals<CompressFlags>();
      const methodOptions = {
        ...(damping === undefined ? {} : { damping }),
        ...(blockSize === undefined ? {} : { blockSize }),
      };
      const { signal, onProgress } = terminal;
      const kept =
        flags.format === "gguf"
          ? `what is done is kept beside ${flags.output}`
          : `finished layers are kept in ${flags.output}.partial`;
      terminal.stopped = `stopped; ${kept}. The same command goes on from there.`;
      const { compress } = await import("../compress.js");
      const result = await compress({ ...flags, ...dataDirectoryOf(flags), model, methodOptions, signal, onProgress });
      terminal.show(result, flags.json, () => describeResult(result, model));
    });
}

function describeResult(result: CompressResult, model: string): string {
  const c = result.calibration;
  const sites = Object.values(result.sites);
  const size = sites.reduce((sum, site) => sum + site.size, 0);
  const times = Object.entries(result.seconds).map(([stage, seconds]) => `${stage} ${duration(seconds)}`);
  return [
    `wrote ${result.output}`,
    `${percent(result.sparsity)} of ${count(size)} weights in ${count(sites.length)} matrices are zero`,
    ...(c ? [`calibrated on ${plural(c.windows, "window")} of ${c.source}, ${count(c.tokens)} tokens`] : []),
    `time: ${times.join(", ")}`,
    ...(result.profile ? ["", describeProfile(result.profile), ""] : []),
    `what it cost: pare evaluate ${result.output} --base ${model} --data SOURCE`,
  ].join("\n");
}
