import type { FloatArray } from "../tensor/matrix.js";
import { startThread, type Thread } from "../thread.js";
import {
  columnsOf,
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

/** Logits [positions, vocabulary] of one model or of two. Those in shared memory are read where they are by all threads. */
export interface FigureTask {
  readonly logits: readonly FloatArray[];
  readonly vocabulary: number;
  readonly targets: Int32Array;
}

/** What becomes of one model's, or of two models'. */
type FigureAnswer = LossFigures | PositionFigures;

/** Logits below which it takes longer to ask a helper than to reduce them: a few milliseconds. */
const LEAST_LOGITS = 2 ** 19;

/** A crew of so many threads, this one included. Helpers begin when there is enough to do. */
export function createFigureCrew(threads: number): FigureCrew {
  const helpers: Helper[] = [];
  const reduce = async ({ logits, vocabulary, targets }: FigureTask, out: FigureAnswer, at: number): Promise<void> => {
    const positions = targets.length;
    const most = Math.floor((positions * vocabulary * logits.length) / LEAST_LOGITS);
    const parts = Math.max(1, Math.min(threads, most, positions));
    while (helpers.length < parts - 1) helpers.push(startThread("metrics/figure-helper.js"));
    const columns = new Map(columnsOf(out));
    const answers = Array.from({ length: parts }, async (_, part) => {
      const [from, to] = [part, part + 1].map((bound) => Math.floor((positions * bound) / parts)) as [number, number];
      const task = {
        logits: logits.map((one) => one.subarray(from * vocabulary, to * vocabulary)),
        vocabulary,
        targets: targets.slice(from, to),
      };
      // The last part is this thread's: it is busy when the others have been asked.
      const answer = part < parts - 1 ? await askFor(helpers[part]!, task) : reduceLogits(task);
      for (const [name, column] of columnsOf(answer)) columns.get(name)!.set(column, at + from);
    });
    await Promise.all(answers);
  };
  return {
    compare: (base, other, vocabulary, targets, out, at) =>
      reduce({ logits: [base, other], vocabulary, targets }, out, at),
    loss: (logits, vocabulary, targets, out, at) => reduce({ logits: [logits], vocabulary, targets }, out, at),
    async dispose() {
      await Promise.all(helpers.splice(0).map((helper) => helper.stop()));
    },
  };
}

/** What a thread does with its part. */
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

type Helper = Thread<FigureTask, FigureAnswer>;

function askFor(helper: Helper, task: FigureTask): Promise<FigureAnswer> {
  // Of what is not shared, a copy goes over.
  const logits = task.logits.map((values) => (isShared(values) ? values : values.slice()));
  const given = logits.flatMap((values) => (isShared(values) ? [] : [values.buffer as ArrayBuffer]));
  return helper.ask({ ...task, logits }, given);
}

function isShared({ buffer }: FloatArray): boolean {
  return buffer instanceof SharedArrayBuffer;
}
