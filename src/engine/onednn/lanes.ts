import { received, type SentError } from "../../errors.js";
import { startThread, type Thread } from "../../thread.js";
import { createTurns, type InTurn } from "../../turns.js";
import { describe } from "../describe.js";
import type { Graph } from "../onnxruntime/onnx.js";
import type { Feeds, Fetches } from "../onnxruntime/session.js";
import { trace } from "../onnxruntime/trace.js";
import type { Program } from "../operations.js";
import type { ElementType } from "./library.js";
import type { Products } from "./products.js";
import { asTensor, createRooms, type Rooms, type TensorData } from "./rooms.js";
import { stagesOf } from "./session.js";

/**
 * Threads that each compute whole runs, with a share of oneDNN's threads and an arena of their own. As many runs side by side take less time
 * than one after the other with all threads: nobody waits for others between the steps, what lies between the products is computed by
 * all, and a thread finds what it wrote in its own caches.
 */
export interface Lanes {
  readonly count: number;
  /** How to run a graph of which nothing needs onnxruntime: one run of a lane after the other. */
  open(graph: Graph): (lane: number, feeds: Feeds, fetches: Fetches) => Promise<Feeds>;
  dispose(): Promise<void>;
}

/** How many there are at most: each has weights and values of its own. With more threads than that, each has several. */
const MOST_LANES = 8;
/** Weights of a block below which a run is over before a thread would have been told of it. */
const LEAST_WEIGHTS = 2 ** 18;
/** Their bytes from which on lanes gain little (4% at 50 MB, 1% at 180), and each has them packed in memory. */
const MANY_BYTES = 2 ** 26;

/** Whether runs of a program gain by lanes: where nothing in it needs onnxruntime. */
export function isForLanes(program: Program, products: Products): boolean {
  const weights = describe(program).linears.reduce((sum, { in: inputs, out }) => sum + inputs * out, 0);
  const bytes = products.packedBytes * weights;
  if (weights < LEAST_WEIGHTS || bytes > MANY_BYTES) return false;
  return stagesOf(trace(program, "run", 1).graph, products).every(({ graph }) => !graph);
}

/** What a thread is to run. */
export interface LaneTask {
  /** A graph's number, and the graph where the thread has not seen it. */
  readonly id: number;
  readonly graph?: Graph;
  /** Rooms that the thread has not seen, and those that it may forget. */
  readonly kept: readonly (readonly [room: number, numbers: TensorData])[];
  readonly gone: readonly number[];
  readonly feeds: Readonly<Record<string, LaneFeed>>;
  readonly fetches: Readonly<Record<string, LaneTensor | null>>;
}

interface LaneTensor {
  readonly data: TensorData;
  readonly dims: readonly number[];
}

/** Numbers that are sent, or those that a room has in this version. */
export type LaneFeed =
  | LaneTensor
  | { readonly room: number; readonly version: number; readonly dims: readonly number[] };

/** What it made, but for what is in its place already. */
export type LaneAnswer = { readonly made: Readonly<Record<string, LaneTensor>> } | SentError;

/** The graph input that is another one in every run. */
const ROWS = "x";

interface Lane {
  readonly inTurn: InTurn;
  /** Undefined before the first run, and after one that its thread did not survive. */
  worker?: Worker | undefined;
}

/** A thread, with what it has seen. */
interface Worker {
  readonly thread: Thread<LaneTask, LaneAnswer>;
  readonly graphs: Set<number>;
  readonly rooms: Set<number>;
  /** Shared memory for the rows of a run and for its output, by their names. */
  readonly memory: Map<string, SharedArrayBuffer>;
}

/** What every lane's thread is told at its beginning. */
export interface LaneSettings {
  readonly precision: ElementType;
  readonly threads: number;
}

/** Lanes for so many threads, two at least; they begin at their first run. */
export function createLanes(precision: ElementType, threads: number): Lanes | undefined {
  const threadsEach = Math.ceil(threads / MOST_LANES);
  const count = Math.floor(threads / threadsEach);
  if (count < 2) return undefined;
  const lanes = Array.from({ length: count }, (): Lane => ({ inTurn: createTurns() }));
  const rooms = createRooms();
  let graphs = 0;
  const start = (): Worker => ({
    thread: startThread("engine/onednn/lane.js", { precision, threads: threadsEach } satisfies LaneSettings),
    graphs: new Set(),
    rooms: new Set(),
    memory: new Map(),
  });
  const runIn = async (lane: Lane, id: number, graph: Graph, feeds: Feeds, fetches: Fetches): Promise<Feeds> => {
    lane.worker ??= start();
    const { thread, graphs: seen } = lane.worker;
    const task = taskFor(lane.worker, rooms, id, graph, feeds, fetches);
    const answer = await thread.ask(task).catch((error: unknown) => {
      lane.worker = undefined;
      throw error;
    });
    if ("error" in answer) throw received(answer);
    seen.add(id);
    return outputsOf(task, answer.made, fetches);
  };
  return {
    count,
    open(graph) {
      const id = graphs++;
      return (number, feeds, fetches) => {
        const lane = lanes[number]!;
        return lane.inTurn(() => runIn(lane, id, graph, feeds, fetches));
      };
    },
    async dispose() {
      await Promise.all(lanes.map(({ worker }) => worker?.thread.stop()));
      for (const lane of lanes) lane.worker = undefined;
    },
  };
}

function taskFor(worker: Worker, rooms: Rooms, id: number, graph: Graph, feeds: Feeds, fetches: Fetches): LaneTask {
  const kept: [number, TensorData][] = [];
  const sent = Object.entries(feeds).map(([name, { data, dims }]): [string, LaneFeed] => {
    if (name === ROWS) {
      const rows = place(worker, name, data.length);
      rows.set(data as Float32Array);
      return [name, { data: rows, dims }];
    }
    const { room, version, numbers } = rooms.put(data as TensorData);
    if (!worker.rooms.has(room)) kept.push([room, numbers]);
    worker.rooms.add(room);
    return [name, { room, version, dims }];
  });
  const gone = [...worker.rooms].filter((room) => !rooms.has(room));
  for (const room of gone) worker.rooms.delete(room);
  const inPlace = Object.entries(fetches).map(([name, tensor]): [string, LaneTensor | null] => [
    name,
    tensor && { data: place(worker, name, tensor.data.length), dims: tensor.dims },
  ]);
  return {
    id,
    ...(!worker.graphs.has(id) && { graph }),
    kept,
    gone,
    feeds: Object.fromEntries(sent),
    fetches: Object.fromEntries(inPlace),
  };
}

/** A lane's memory for so many numbers, the same for every run: fresh memory costs the system more than copying to it. */
function place({ memory }: Worker, name: string, length: number): Float32Array {
  const bytes = Float32Array.BYTES_PER_ELEMENT * length;
  let found = memory.get(name);
  if (!found || found.byteLength < bytes) {
    found = new SharedArrayBuffer(bytes);
    memory.set(name, found);
  }
  return new Float32Array(found, 0, length);
}

/** What a run was to put out, where it was to be put. */
function outputsOf(task: LaneTask, made: Readonly<Record<string, LaneTensor>>, fetches: Fetches): Feeds {
  return Object.fromEntries(
    Object.entries(fetches).map(([name, tensor]) => {
      if (!tensor) return [name, asTensor(made[name]!.data, made[name]!.dims)];
      (tensor.data as Float32Array).set(task.fetches[name]!.data as Float32Array);
      return [name, tensor];
    }),
  );
}
