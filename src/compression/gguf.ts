import { realpath, rm, stat } from "node:fs/promises";
import { basename } from "node:path";
import type { Checkpoint } from "../checkpoint/checkpoint.js";
import { folderBefore, WRITTEN_TYPES, type WrittenType } from "../checkpoint/gguf/output.js";
import { tryGguf, writeGguf } from "../checkpoint/gguf/write.js";
import { readModelFile } from "../checkpoint/model-file.js";
import { openCheckpoint } from "../checkpoint/open.js";
import { InputError } from "../errors.js";
import { families } from "../model/families/registry.js";
import { isSameComputation } from "../model/same-computation.js";
import { MAX_RECORD_BYTES, RECORD_FILE } from "../results/read-record.js";

export interface GgufOutput {
  readonly output: string;
  readonly type: WrittenType;
  readonly force: boolean;
}

/** Finds the type of GGUF's matrices by its name. Throws InputError. */
export function findWrittenType(name: string): WrittenType {
  const found = WRITTEN_TYPES.find((type) => type === name.toLowerCase());
  if (found) return found;
  throw new InputError(`GGUF type "${name}" is not known (known: ${WRITTEN_TYPES.join(", ")})`);
}

/** Throws InputError, before any work, where the output is taken or GGUF has no words for the model. */
export async function checkGgufOutput(base: Checkpoint, { output, type, force }: GgufOutput): Promise<void> {
  if (!/\.gguf$/i.test(output)) throw new InputError(`${output}: the name of a GGUF file has to end in .gguf`);
  const there = await stat(output).catch(() => undefined);
  if (there && !there.isFile()) throw new InputError(`${output}: is no file; choose another output`);
  if (there && !force) throw new InputError(`${output}: is there; choose another output, or replace it with --force`);
  if (there && (await realpath(output)) === (await realpath(base.path))) {
    throw new InputError(`${output}: is the base itself; choose another output`);
  }
  const { meant, read } = await tryGguf(base, type);
  if (isSameComputation(architectureOf(meant, base), architectureOf(read, base))) return;
  throw new InputError(
    `${base.configFile}: says something of how the model computes that GGUF has no key for (llama.cpp would compute ` +
      "another model); write it as a folder, without --format gguf",
  );
}

function architectureOf(config: Checkpoint["config"], { configFile }: Checkpoint) {
  const family = families.find(({ modelTypes }) => modelTypes.includes(String(config["model_type"])));
  if (!family) throw new InputError(`${configFile}: model_type is not supported`);
  return family.architecture(config, configFile);
}

/** Writes the folder as GGUF and removes it, also where GGUF cannot hold it. */
export async function folderToGguf({ output, type }: GgufOutput, signal: AbortSignal | undefined): Promise<void> {
  const folder = folderBefore(output);
  const checkpoint = await openCheckpoint(folder);
  try {
    const record = await readModelFile(folder, RECORD_FILE, MAX_RECORD_BYTES);
    const name = basename(output).replace(/\.gguf$/i, "");
    await writeGguf(checkpoint, output, { type, name, record: record && new TextDecoder().decode(record), signal });
  } finally {
    await checkpoint.close();
    await rm(folder, { recursive: true, force: true });
  }
}
