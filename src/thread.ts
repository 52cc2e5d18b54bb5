import { type TransferListItem, Worker } from "node:worker_threads";

/** A thread that answers one message with another. */
export interface Thread<Task, Answer> {
  /** `given`: memory that it gets for good. One question at a time. Rejects where the thread fails; it is of no use then. */
  ask(task: Task, given?: readonly TransferListItem[]): Promise<Answer>;
  stop(): Promise<unknown>;
}

/** Starts a file of dist/, which lies beside src/, in a thread of its own, which does not keep the process from ending. */
export function startThread<Task, Answer>(path: string, data?: unknown): Thread<Task, Answer> {
  // What this process was started with, `--input-type` say, may not fit it.
  const worker = new Worker(new URL(`../dist/${path}`, import.meta.url), { execArgv: [], workerData: data });
  worker.unref();
  let waiting: { resolve(answer: Answer): void; reject(error: Error): void } | undefined;
  let failure: Error | undefined;
  const fail = (error: Error) => {
    failure ??= error;
    waiting?.reject(failure);
  };
  worker.on("message", (answer: Answer) => waiting?.resolve(answer));
  worker.on("error", fail);
  worker.on("exit", () => fail(new Error(`the thread ${path} has ended`)));
  return {
    async ask(task, given = []) {
      if (failure) throw failure;
      const answered = new Promise<Answer>((resolve, reject) => {
        waiting = { resolve, reject };
      });
      // The process must not end while it waits.
      worker.ref();
      try {
        worker.postMessage(task, given);
        return await answered;
      } finally {
        waiting = undefined;
        worker.unref();
      }
    },
    stop: () => worker.terminate(),
  };
}
