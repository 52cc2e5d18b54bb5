import { errorCode } from "../checkpoint/folder.js";
import { InputError, RunError } from "../errors.js";

const ADVICE: Readonly<Record<string, string>> = {
  EACCES: "there is no permission for it; check whose it is, or name another place",
  EPERM: "there is no permission for it; check whose it is, or name another place",
  EROFS: "its disk can only be read; name another place",
  ENOENT: "is not there; make the folder first, or correct the name",
  ENOTDIR: "a part of this name is a file; name another place",
  EISDIR: "is a folder; name a file",
  ENOSPC: "its disk is full; make room",
  EDQUOT: "its disk is full; make room",
};

/** What the operating system refused, in one line: which file, why, what to do. Undefined for any other error. */
export function systemRefusal(error: unknown): string | undefined {
  const code = errorCode(error);
  if (code === undefined || error instanceof InputError || error instanceof RunError) return undefined;
  const { message, path } = error as NodeJS.ErrnoException;
  const advice = ADVICE[code];
  // A file that is to replace another one is not one that a user knows.
  return path === undefined || advice === undefined
    ? message
    : `${path.replace(/\.[0-9a-f-]{36}\.partial$/, "")}: ${advice}`;
}
