import { realpath, rm, stat } from "node:fs/promises";
import { basename } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Checkpoint } from "../checkpoint/checkpoint.js";
import { folderBefore, WRITTEN_TYPES, type WrittenType } from "../checkpoint/gguf/output.js";
import { tryGguf, writeGguf } from "../checkpoint/gguf/write.js";
import { isObject } from "../checkpoint/json.js";
import { RECORD_FILE } from "../checkpoint/layout.js";
import { readModelFile } from "../checkpoint/model-file.js";
import { openCheckpoint } from "../checkpoint/open.js";
import { InputError, RunError } from "../errors.js";
import { isDirectory } from "../files.js";
import { families } from "../model/families/registry.js";
import { isSameComputation } from "../model/same-computation.js";
import type { CompressionRecord } from "../results/compression-record.js";
import { MAX_RECORD_BYTES, readRecord } from "../results/read-record.js";

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

/**
 * The size of the file that will be, in bytes. Throws InputError, before any work, where the output is taken or GGUF has no words
 * for the model.
 */
export async function checkGgufOutput(base: Checkpoint, { output, type, force }: GgufOutput): Promise<number> {
  if (!/\.gguf$/i.test(output)) throw new InputError(`${output}: the name of a GGUF file has to end in .gguf`);
  const there = await stat(output).catch(() => undefined);
  if (there && !there.isFile()) throw new InputError(`${output}: is no file; choose another output`);
  if (there && !force) throw new InputError(`${output}: is there; choose another output, or replace it with --force`);
  if (there && (await realpath(output)) === (await realpath(base.path))) {
    throw new InputError(`${output}: is the base itself; choose another output`);
  }
  const { meant, read, bytes } = await tryGguf(base, type);
  if (isSameComputation(architectureOf(meant, base), architectureOf(read, base))) return bytes;
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

type Result = CompressionRecord["result"];

/** The result that an earlier try left in the folder, where that is what would be made: its GGUF file could not be written then. */
export async function finishedFolder(
  folder: string,
  made: Omit<CompressionRecord, "result">,
): Promise<Result | undefined> {
  const found = (await isDirectory(folder)) ? await readRecord(folder) : null;
  if (!found) return undefined;
  const { result, resumedAt: _resumedAt, ...description } = found;
  const isSame = isDeepStrictEqual(description, JSON.parse(JSON.stringify(made)));
  return isSame && isResult(result) ? result : undefined;
}

function isResult(value: unknown): value is Result {
  if (!isObject(value) || typeof value["sparsity"] !== "number" || !isObject(value["sites"])) return false;
  return Object.values(value["sites"]).every(
    (site) => isObject(site) && typeof site["zeros"] === "number" && typeof site["size"] === "number",
  );
}

/** Writes the folder as GGUF and removes it; it stays where that fails. */
export async function folderToGguf({ output, type }: GgufOutput, signal: AbortSignal | undefined): Promise<void> {
  const folder = folderBefore(output);
  const checkpoint = await openCheckpoint(folder);
  try {
    const record = await readModelFile(folder, RECORD_FILE, MAX_RECORD_BYTES);
    const name = basename(output).replace(/\.gguf$/i, "");
    await writeGguf(checkpoint, output, { type, name, record: record && new TextDecoder().decode(record), signal });
  } catch (error) {
    if (!(error instanceof RunError)) throw error;
    const kept = `the compressed weights are kept in ${folder}, and the same command goes on from there`;
    throw new RunError(`${error.message}; ${kept}`, { cause: error });
  } finally {
    await checkpoint.close();
  }
  await rm(folder, { recursive: true, force: true });
}
