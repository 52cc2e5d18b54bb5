import { createContext, Script } from "node:vm";

const sandbox: { task?: (() => void) | undefined } = createContext({});
const script = new Script("task()");

/**
 * Runs `task` to its end, or stops it after `milliseconds` and returns undefined. The task may not return undefined itself, nor
 * wait for anything. A loop without end and a regular expression that backtracks for ever are stopped too: V8 stops every
 * frame above the script, whichever context its function is from.
 */
export function withinTime<T extends NonNullable<unknown> | null>(milliseconds: number, task: () => T): T | undefined {
  let result: T | undefined;
  sandbox.task = () => {
    result = task();
  };
  try {
    script.runInContext(sandbox, { timeout: milliseconds });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw error;
    return undefined;
  } finally {
    sandbox.task = undefined;
  }
  return result;
}
