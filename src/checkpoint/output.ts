import { lstat, readdir, realpath, statfs } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { InputError, RunError } from "../errors.js";
import type { Checkpoint } from "./checkpoint.js";
import { readCopied } from "./copied.js";
import { isInside, isMissing } from "./folder.js";
import { CONFIG_FILE, RECORD_FILE } from "./layout.js";

/** Throws InputError when writing the output could change the base: equal, inside or around it. */
export async function checkApart(base: Checkpoint, target: string, output: string): Promise<void> {
  const sources = new Set([await realpath(base.path)]);
  if (base.path === base.directory) {
    for (const name of base.shards) sources.add(dirname(await realpath(join(base.directory, name))));
  }
  const real = await realTarget(target);
  for (const source of sources) {
    for (const path of [real, `${real}.partial`]) {
      if (!isInside(path, source) && !isInside(source, path)) continue;
      throw new InputError(`${output}: lies in or around the base ${base.path}; choose an output apart from it`);
    }
  }
}

/** The path without links, as far as it exists. */
async function realTarget(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (!isMissing(error) || dirname(path) === path) throw error;
    return join(await realTarget(dirname(path)), basename(path));
  }
}

/** Throws InputError when something is there that may not be replaced. */
export async function checkOutput(target: string, output: string, force: boolean): Promise<void> {
  let found: Awaited<ReturnType<typeof lstat>>;
  try {
    found = await lstat(target);
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  if (found.isSymbolicLink()) throw new InputError(`${output}: is a link; name the folder itself`);
  if (!found.isDirectory()) throw new InputError(`${output}: is a file; choose another output`);
  const names = await readdir(target);
  if (names.length === 0) return;
  if (!force) throw new InputError(`${output}: is not empty; choose another output, or replace it with --force`);
  if (isInside(await realpath("."), await realpath(target))) {
    throw new InputError(`${output}: is the folder that you are in, or around it; choose another output`);
  }
  const isCheckpoint = names.includes(CONFIG_FILE) && names.some((name) => name.endsWith(".safetensors"));
  if (!isCheckpoint && !names.includes(RECORD_FILE)) {
    throw new InputError(
      `${output}: holds other things than a checkpoint, which --force does not replace; choose another output`,
    );
  }
}

/** Throws RunError when the disk has too little room for a copy and `more` bytes; what an earlier run left there is used or goes. */
export async function checkSpace(
  base: Checkpoint,
  copied: readonly string[],
  target: string,
  output: string,
  more: number,
): Promise<void> {
  const sizes = await Promise.all(copied.map(async (name) => (await readCopied(base, name)).length));
  const needed = [...base.shards.map((name) => base.shardBytes(name)), ...sizes].reduce(
    (sum, size) => sum + size,
    more,
  );
  const { bavail, bsize } = await statfs(dirname(target));
  const free = bavail * bsize + (await usedBytes(`${target}.partial`));
  if (needed <= free) return;
  throw new RunError(
    `${output}: needs ${gibibytes(needed)}, and its disk has ${gibibytes(free)} free; make room there`,
  );
}

/** What the files of a folder take on the disk. */
async function usedBytes(folder: string): Promise<number> {
  const files = await Promise.all((await readdir(folder)).map((name) => lstat(join(folder, name))));
  return files.reduce((sum, { blocks }) => sum + 512 * blocks, 0);
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(2)} GiB`;
}
