import { once } from "node:events";
import { type TransferListItem, Worker } from "node:worker_threads";

/** A thread that answers one message with another. */
export interface Thread<Task, Answer> {
  /** `given`: memory that it gets for good. One question at a time. */
  ask(task: Task, given?: readonly TransferListItem[]): Promise<Answer>;
  stop(): Promise<unknown>;
}

/** Starts a file of dist/, which lies beside src/, in a thread of its own, which does not keep the process from ending. */
export function startThread<Task, Answer>(path: string, data?: unknown): Thread<Task, Answer> {
  // What this process was started with, `--input-type` say, may not fit it.
  const worker = new Worker(new URL(`../dist/${path}`, import.meta.url), { execArgv: [], workerData: data });
  worker.unref();
  return {
    async ask(task, given = []) {
      // The process must not end while it waits.
      worker.ref();
      const answered = once(worker, "message");
      worker.postMessage(task, given);
      const [answer] = (await answered) as [Answer];
      worker.unref();
      return answer;
    },
    stop: () => worker.terminate(),
  };
}
