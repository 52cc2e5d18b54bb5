import { errorCode } from "../checkpoint/folder.js";
import { InputError, RunError, systemAdvice } from "../errors.js";

/** What the operating system refused, in one line: which file, why, what to do. Undefined for any other error. */
export function systemRefusal(error: unknown): string | undefined {
  const code = errorCode(error);
  if (code === undefined || error instanceof InputError || error instanceof RunError) return undefined;
  const { message, path } = error as NodeJS.ErrnoException;
  const advice = systemAdvice(code);
  // A file that is to replace another one is not one that a user knows.
  return path === undefined || advice === undefined
    ? message
    : `${path.replace(/\.[0-9a-f-]{36}\.partial$/, "")}: ${advice}`;
}
