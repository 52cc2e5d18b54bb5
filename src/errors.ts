/**
 * Errors that a user can act on. Everything else that is thrown is a defect of pare and shown as one.
 */

/** The command or its input is wrong: one line that says what, where and what to do. Exit code 2. */
export class InputError extends Error {
  override readonly name = "InputError";
}

/** The input was right and the work could not be done (disk full, matrix not positive definite, ...). Exit code 1. */
export class RunError extends Error {
  override readonly name = "RunError";
}

/** The work was stopped by an AbortSignal. Exit code 130 on the command line, as a shell expects after Ctrl-C. */
export class AbortError extends Error {
  override readonly name = "AbortError";
}

/** An error as it may be sent to another thread, which would forget its class. */
export interface SentError {
  readonly error: unknown;
  readonly name: string;
}

export function sendable(error: unknown): SentError {
  return { error, name: error instanceof Error ? error.name : "" };
}

/** The error that was sent. */
export function received({ error, name }: SentError): unknown {
  const { message } = error as Error;
  if (name === "InputError") return new InputError(message, { cause: error });
  if (name === "RunError") return new RunError(message, { cause: error });
  return error;
}

/** Throws AbortError when the signal has fired. Call it between units of work. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortError("stopped");
}

/** By the system's codes, as what follows a file's name. */
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

/** What to do about what the operating system refused, by its code; undefined for one that says nothing to a user. */
export function systemAdvice(code: string): string | undefined {
  return ADVICE[code];
}
