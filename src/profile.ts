import type { Checkpoint } from "./checkpoint/checkpoint.js";
import type { Engine } from "./engine/engine.js";
import { meter } from "./engine/meter.js";
import { measureSpeed } from "./engine/speed.js";
import type { Stopwatch } from "./progress.js";

/** Where the time of a run went. */
export interface Profile {
  /** What the engine reaches in large matrix products on this machine, measured after the run: GFLOP/s; null where that failed. */
  readonly limit: number | null;
  /** In the order in which they began. */
  readonly stages: readonly StageProfile[];
}

export interface StageProfile {
  readonly stage: string;
  readonly seconds: number;
  /** Floating-point operations of the engine's matrix products, two (× and +) a term. */
  readonly operations: number;
  /** Operations a second, in 10⁹; over the whole stage, whatever else it did. */
  readonly gigaflops: number;
  /** `gigaflops` of the limit. */
  readonly share: number | null;
  /** Operands and results of the engine's runs, and what was read of base checkpoints, in the dense form in which they are seen. */
  readonly bytes: number;
}

/** Counts what is computed and read while a stopwatch runs, by its stages. */
export interface Profiler {
  engine(engine: Engine): Engine;
  checkpoint(checkpoint: Checkpoint): Checkpoint;
  /** What was counted, of the time that `watch` took since it was created; `engine` says what the machine's limit is. */
  finish(engine: Engine): Promise<Profile>;
}

/** Work between two stages belongs to none, and is not counted. */
export function createProfiler(watch: Stopwatch): Profiler {
  const before = { ...watch.seconds };
  const counts = new Map<string, { operations: number; bytes: number }>();
  const add = (operations: number, bytes: number) => {
    const stage = watch.stage();
    if (stage === undefined) return;
    const count = counts.get(stage) ?? { operations: 0, bytes: 0 };
    counts.set(stage, { operations: count.operations + operations, bytes: count.bytes + bytes });
  };
  return {
    engine: (engine) => meter(engine, ({ operations, bytes }) => add(operations, bytes)),
    checkpoint(checkpoint) {
      const bytesOf = (name: string) => {
        const { begin, end } = checkpoint.tensors.get(name) ?? { begin: 0, end: 0 };
        return end - begin;
      };
      return {
        ...checkpoint,
        async read(name, room) {
          const values = await checkpoint.read(name, room);
          add(0, bytesOf(name));
          return values;
        },
        async readBfloat16(name, room) {
          const bits = await checkpoint.readBfloat16(name, room);
          if (bits) add(0, bytesOf(name));
          return bits;
        },
        async readRows(name, rows) {
          const values = await checkpoint.readRows(name, rows);
          add(0, (bytesOf(name) * rows.length) / (checkpoint.tensors.get(name)?.shape[0] ?? 1));
          return values;
        },
      };
    },
    async finish(engine) {
      const limit = await measureSpeed(engine).catch(() => null); // the run's own results are there
      const stages = Object.entries(watch.seconds).map(([stage, total]): StageProfile => {
        const seconds = total - (before[stage] ?? 0);
        const { operations, bytes } = counts.get(stage) ?? { operations: 0, bytes: 0 };
        const gigaflops = seconds > 0 ? operations / seconds / 1e9 : 0;
        return { stage, seconds, operations, gigaflops, share: limit === null ? null : gigaflops / limit, bytes };
      });
      return { limit, stages: stages.filter(({ seconds }) => seconds > 0) };
    },
  };
}
