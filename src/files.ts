import { randomUUID } from "node:crypto";
import { copyFile, link, open, rename, rm, stat } from "node:fs/promises";
import { InputError } from "./errors.js";

/** The file is the old one or the new one, never a part, also after a loss of power. */
export async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  await replaceBy(path, async (partial) => {
    const handle = await open(partial, "wx");
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}

/** How far into a file its kind shows. */
const HEAD_BYTES = 1024;

/** Throws InputError where something is there under this name that is not such a file: one in whose beginning `mark` stands. */
export async function checkReplaceable(path: string, mark: string, what: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (!found) return;
  const refuse = () => new InputError(`${path}: is there and is no ${what}; name another file, or remove it`);
  if (!found.isFile()) throw refuse();
  const handle = await open(path, "r");
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    if (bytesRead > 0 && !buffer.subarray(0, bytesRead).includes(mark)) throw refuse();
  } finally {
    await handle.close();
  }
}

/** Another name for a file where the system can do that, else a copy. */
export async function linkFile(from: string, to: string): Promise<void> {
  await replaceBy(to, (partial) => link(from, partial).catch(() => copyFile(from, partial)));
}

/** What follows a file's name while the file is being replaced. */
const PARTIAL = /\.[^.]+\.partial$/;

/** Whether `name` is of a file that is to replace `file`: by a process that is about to, or was killed. */
export function isPartialOf(file: string, name: string): boolean {
  return PARTIAL.test(name) && name.replace(PARTIAL, "") === file;
}

/** Puts in place what `write` writes to the path that it is given. Two processes may do so at once. */
export async function replaceBy(path: string, write: (partial: string) => Promise<void>): Promise<void> {
  const partial = `${path}.${randomUUID()}.partial`;
  try {
    await write(partial);
    await rename(partial, path);
  } finally {
    await rm(partial, { force: true });
  }
}

export async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}

export async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}
