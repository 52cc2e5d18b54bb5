/** What long work tells of itself; the command line draws it, a library's user may do as they like. */
export type ProgressEvent =
  | { readonly kind: "start"; readonly what: string; readonly total: number }
  /** `done` of the total are finished; `note` says what was just finished, where that is worth a line. */
  | { readonly kind: "step"; readonly done: number; readonly note?: string }
  | { readonly kind: "warning"; readonly message: string };

export type OnProgress = (event: ProgressEvent) => void;

/** Begins work of so many steps; what it gives back is told how many more are done. */
export function countSteps(onProgress: OnProgress, what: string, total: number): (steps: number) => void {
  let done = 0;
  onProgress({ kind: "start", what, total });
  return (steps) => {
    done += steps;
    onProgress({ kind: "step", done });
  };
}

/** Adds up how long each stage took, in seconds. */
export function createStopwatch(): {
  readonly seconds: Record<string, number>;
  time<T>(stage: string, work: () => Promise<T>): Promise<T>;
} {
  const seconds: Record<string, number> = {};
  return {
    seconds,
    async time(stage, work) {
      const begin = performance.now();
      try {
        return await work();
      } finally {
        seconds[stage] = (seconds[stage] ?? 0) + (performance.now() - begin) / 1000;
      }
    },
  };
}
