import { constants } from "node:os";
import type * as Koffi from "koffi";

/** Of a sigset_t, at the most. */
const SIGNAL_SET_BYTES = 128;

/**
 * The same work, with this thread's signals waiting until it is done, and those of the threads that OpenMP starts for it waiting for
 * good. Some of oneDNN's kernels (of products in AVX2) use the stack pointer as one more register: a handler that ran meanwhile, of
 * a window that changes its size or of a profiler, would write over memory of others.
 */
export function withoutSignals<A extends readonly unknown[]>(
  koffi: typeof Koffi,
  work: (...args: A) => void,
): (...args: A) => void {
  if (process.platform === "win32") return work;
  const own = koffi.load(null);
  const fill = own.func("sigfillset", "int", ["void *"]) as (set: Uint8Array) => number;
  const remove = own.func("sigdelset", "int", ["void *", "int"]) as (set: Uint8Array, signal: number) => number;
  const setMask = own.func("pthread_sigmask", "int", ["int", "void *", "void *"]) as (
    how: number,
    set: Uint8Array,
    before: Uint8Array | null,
  ) => number;
  const waiting = new Uint8Array(SIGNAL_SET_BYTES);
  const before = new Uint8Array(SIGNAL_SET_BYTES);
  fill(waiting);
  // What says that a program is broken must not wait.
  const { SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP } = constants.signals;
  for (const signal of [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP]) remove(waiting, signal);
  const replace = process.platform === "darwin" ? 3 : 2; // SIG_SETMASK
  return (...args) => {
    setMask(replace, waiting, before);
    try {
      work(...args);
    } finally {
      setMask(replace, before, null);
    }
  };
}
