/** What long work tells of itself; the command line draws it, a library's user may do as they like. */
export type ProgressEvent =
  /** The total is in steps, whatever these are, where no unit is said. */
  | { readonly kind: "start"; readonly what: string; readonly total: number; readonly unit?: "bytes" }
  /** `done` of the total are finished; `note` says what was just finished, where that is worth a line. */
  | { readonly kind: "step"; readonly done: number; readonly note?: string }
  /** Worth a line on its own; nothing is wrong. */
  | { readonly kind: "note"; readonly message: string }
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
export interface Stopwatch {
  readonly seconds: Record<string, number>;
  /** The stage that is being timed: the innermost; none between stages. */
  stage(): string | undefined;
  time<T>(stage: string, work: () => Promise<T>): Promise<T>;
}

/** Adds to what stages took `before`. */
export function createStopwatch(before: Readonly<Record<string, number>> = {}): Stopwatch {
  const seconds: Record<string, number> = { ...before };
  let running: string | undefined;
  return {
    seconds,
    stage: () => running,
    async time(stage, work) {
      const begin = performance.now();
      const outer = running;
      running = stage;
      try {
        return await work();
      } finally {
        running = outer;
        seconds[stage] = (seconds[stage] ?? 0) + (performance.now() - begin) / 1000;
      }
    },
  };
}
