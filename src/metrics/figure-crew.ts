import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { FloatArray } from "../tensor/matrix.js";
import {
  comparePositions,
  type LossFigures,
  lossFigures,
  lossOfPositions,
  type PositionFigures,
  positionFigures,
} from "./distribution.js";

/** Reduces logits to figures, many positions at a time by several threads. Figures are the same whoever computes them. */
export interface FigureCrew {
  /** As comparePositions. */
  compare(
    base: FloatArray,
    other: FloatArray,
    vocabulary: number,
    targets: Int32Array,
    out: PositionFigures,
    at: number,
  ): Promise<void>;
  /** As lossOfPositions. */
  loss(logits: FloatArray, vocabulary: number, targets: Int32Array, out: LossFigures, at: number): Promise<void>;
  dispose(): Promise<void>;
}

/** What a helper is asked: of one model or of two, logits [positions, vocabulary] in shared memory. */
export interface FigureTask {
  readonly logits: readonly FloatArray[];
  readonly vocabulary: number;
  readonly targets: Int32Array;
}

/** What it answers. */
type FigureAnswer = LossFigures | PositionFigures;

/** Logits below which it takes longer to ask a helper than to reduce them: a few milliseconds. */
const LEAST_LOGITS = 2 ** 19;

/** A crew of so many threads, this one included. Helpers begin when there is enough to do. */
export function createFigureCrew(threads: number): FigureCrew {
  const helpers: Helper[] = [];
  const reduce = async <F extends FigureAnswer>(
    logits: readonly FloatArray[],
    vocabulary: number,
    targets: Int32Array,
    out: F,
    at: number,
    own: (logits: readonly FloatArray[], targets: Int32Array, at: number) => void,
  ): Promise<void> => {
    const positions = targets.length;
    const most = Math.floor((positions * vocabulary * logits.length) / LEAST_LOGITS);
    const parts = Math.max(1, Math.min(threads, most, positions));
    while (helpers.length < parts - 1) helpers.push(startHelper());
    const bound = (part: number) => Math.floor((positions * part) / parts);
    const slice = (from: number, to: number) =>
      [logits.map((one) => one.subarray(from * vocabulary, to * vocabulary)), targets.subarray(from, to)] as const;
    const answers = helpers.slice(0, parts - 1).map(async (helper, i) => {
      const [from, to] = [bound(i + 1), bound(i + 2)];
      const [part, wanted] = slice(from, to);
      const answer = await helper.ask(part, vocabulary, wanted);
      for (const [name, column] of Object.entries(answer)) {
        (out as unknown as Record<string, Float64Array>)[name]!.set(column, at + from);
      }
    });
    own(...slice(0, bound(1)), at);
    await Promise.all(answers);
  };
  return {
    compare: (base, other, vocabulary, targets, out, at) =>
      reduce([base, other], vocabulary, targets, out, at, ([p, q], wanted, from) =>
        comparePositions(p!, q!, vocabulary, wanted, out, from),
      ),
    loss: (logits, vocabulary, targets, out, at) =>
      reduce([logits], vocabulary, targets, out, at, ([p], wanted, from) =>
        lossOfPositions(p!, vocabulary, wanted, out, from),
      ),
    async dispose() {
      await Promise.all(helpers.splice(0).map((helper) => helper.stop()));
    },
  };
}

/** What a helper does. */
export function reduceLogits({ logits: [first, second], vocabulary, targets }: FigureTask): FigureAnswer {
  if (second) {
    const out = positionFigures(targets.length);
    comparePositions(first!, second, vocabulary, targets, out, 0);
    return out;
  }
  const out = lossFigures(targets.length);
  lossOfPositions(first!, vocabulary, targets, out, 0);
  return out;
}

interface Helper {
  ask(logits: readonly FloatArray[], vocabulary: number, targets: Int32Array): Promise<FigureAnswer>;
  stop(): Promise<unknown>;
}

function startHelper(): Helper {
  // A file of dist/, which lies beside src/. What this process was started with, `--input-type` say, may not fit it.
  const worker = new Worker(new URL("../../dist/metrics/figure-helper.js", import.meta.url), { execArgv: [] });
  worker.unref();
  const rooms: FloatArray[] = [];
  return {
    async ask(logits, vocabulary, targets) {
      const shared = logits.map((values, i) => {
        rooms[i] = roomFor(values, rooms[i]);
        const room = rooms[i].subarray(0, values.length);
        room.set(values);
        return room;
      });
      // The process must not end while it waits.
      worker.ref();
      const answered = once(worker, "message");
      worker.postMessage({ logits: shared, vocabulary, targets: targets.slice() } satisfies FigureTask);
      const [answer] = (await answered) as [FigureAnswer];
      worker.unref();
      return answer;
    },
    stop: () => worker.terminate(),
  };
}

/** Shared memory for as many numbers of the same type. */
function roomFor(values: FloatArray, room: FloatArray | undefined): FloatArray {
  if (room && room.length >= values.length && room.constructor === values.constructor) return room;
  const memory = new SharedArrayBuffer(values.byteLength);
  return values instanceof Float32Array ? new Float32Array(memory) : new Float64Array(memory);
}
