import { ARGUMENT, type Description, type Handle, type Library, type Memory, type Places } from "./library.js";

/** Work of one kind and size, with the memory that its arguments are placed in. */
export interface Prepared {
  readonly threads: number;
  readonly primitive: Handle;
  readonly description: Handle;
  readonly memories: readonly { readonly arg: number; readonly memory: Handle }[];
}

/** What is made ready once and run many times. */
export interface PreparedStore {
  /** What is kept under a key, made where it is not there. */
  keep<P extends Prepared>(key: string, make: () => P): P;
  /** The threads for work of this size, made and run next: one where it is less than so much. */
  takeThreads(work: number, least: number): number;
  ready(threads: number, description: Handle, places: Places): Prepared;
  run(prepared: Prepared, ...data: readonly Memory[]): void;
  /** Copies so many numbers between two orders or types of a matrix. */
  copy(key: string, size: number, from: () => Description, to: () => Description): Prepared;
  /** A description that others refer to: not destroyed before the end. */
  hold(description: Handle): void;
  dispose(): void;
}

/** How many are kept ready, of those used last. Experts, and prompts of all lengths, come in very many sizes. */
const KEPT = 1024;
/** Numbers copied, or put through softmax, below which waking another thread takes longer than the work. */
export const LEAST_COPY = 2 ** 17;

export function createPreparedStore(library: Library, threads: number): PreparedStore {
  const kept = new Map<string, Prepared>();
  const held = new Set<Handle>();
  const forget = ({ primitive, description, memories }: Prepared) => {
    for (const { memory } of memories) library.destroy("memory", memory);
    library.destroy("primitive", primitive);
    if (!held.has(description)) library.destroy("primitive_desc", description);
  };
  const store: PreparedStore = {
    keep<P extends Prepared>(key: string, make: () => P): P {
      const found = kept.get(key) ?? make();
      // Last used, last in the map.
      kept.delete(key);
      kept.set(key, found);
      for (const [oldest, old] of kept) {
        if (kept.size <= KEPT) break;
        kept.delete(oldest);
        forget(old);
      }
      return found as P;
    },
    takeThreads(work, least) {
      const count = work < least ? 1 : threads;
      library.setThreads?.(count);
      return count;
    },
    ready: (count, description, places) => ({
      threads: count,
      primitive: library.prepare(description),
      description,
      memories: places.map(([arg, of]) => ({ arg, memory: library.memory(of) })),
    }),
    run({ threads: count, primitive, memories }, ...data) {
      library.setThreads?.(count);
      for (const [i, { memory }] of memories.entries()) library.place(memory, data[i]!);
      library.execute(primitive, memories);
    },
    copy: (key, size, from, to) =>
      store.keep(`copy ${key}`, () => {
        const count = store.takeThreads(size, LEAST_COPY);
        const [source, target] = [from(), to()];
        const places = [[ARGUMENT.from, source] as const, [ARGUMENT.to, target] as const];
        return store.ready(count, library.reorder(source, target), places);
      }),
    hold: (description) => void held.add(description),
    dispose() {
      for (const prepared of kept.values()) forget(prepared);
      for (const description of held) library.destroy("primitive_desc", description);
      kept.clear();
      held.clear();
    },
  };
  return store;
}
