import type { Engine } from "../engine/engine.js";
import { comparePositions, lossFigures, lossOfPositions, positionFigures } from "../metrics/distribution.js";
import { type Stream, scoredPositions, scoreWindows } from "../model/score.js";
import { type Journal, journalKey } from "../results/journal.js";
import type { Contestant } from "./answers.js";
import type { Continuation } from "./encode.js";

/** Figures of a continuation's tokens, nats; null where a logit was not finite. The base's where there is one. */
export interface ContinuationFigures {
  readonly loss: readonly (number | null)[];
  /** Whether each token is the likeliest one. */
  readonly greedy: boolean;
  readonly base?: {
    readonly loss: readonly (number | null)[];
    readonly greedy: boolean;
    readonly jsd: readonly (number | null)[];
    readonly kl: readonly (number | null)[];
    readonly sameTop1: readonly boolean[];
  };
}

/** Tokens between two entries into the journal. */
const GROUP_TOKENS = 2 ** 15;

interface ContinuationOptions {
  readonly signal: AbortSignal | undefined;
  readonly onContinuations: (continuations: number) => void;
}

/**
 * Runs the models over continuations, teacher-forced, in step; equal ones once, and none that the journal knows.
 */
export async function continuationFigures(
  model: Contestant,
  base: Contestant | undefined,
  engine: Engine,
  continuations: readonly Continuation[],
  journal: Journal,
  { signal, onContinuations }: ContinuationOptions,
): Promise<ContinuationFigures[]> {
  const how = [model.sha256, base?.sha256 ?? null, engine.name, engine.precision];
  const keys = continuations.map(({ ids, from }) => journalKey("continuation", how, ids, from));
  const missing = new Map(continuations.map((continuation, i) => [keys[i]!, continuation]));
  for (const key of keys) if (journal.get(key) !== undefined) missing.delete(key);
  onContinuations(keys.length - missing.size);
  for (const group of groups([...missing])) {
    const figures = await scoreGroup(model, base, engine, group, signal);
    for (const [i, [key]] of group.entries()) journal.put(key, figures[i]!);
    onContinuations(group.length);
  }
  return keys.map((key) => journal.get(key) as ContinuationFigures);
}

type Entry = readonly [key: string, continuation: Continuation];

/** By length: windows of one length run together. */
function groups(entries: readonly Entry[]): Entry[][] {
  const result: Entry[][] = [];
  let tokens = Number.POSITIVE_INFINITY;
  for (const entry of entries.toSorted(([, a], [, b]) => a.ids.length - b.ids.length)) {
    if (tokens + entry[1].ids.length > GROUP_TOKENS) {
      result.push([]);
      tokens = 0;
    }
    result.at(-1)!.push(entry);
    tokens += entry[1].ids.length;
  }
  return result;
}

async function scoreGroup(
  model: Contestant,
  base: Contestant | undefined,
  engine: Engine,
  group: readonly Entry[],
  signal: AbortSignal | undefined,
): Promise<ContinuationFigures[]> {
  const windows = group.map(([, { ids }]) => Int32Array.from(ids));
  const scoreFrom = group.map(([, { from }]) => from);
  const positions = scoredPositions(windows, scoreFrom);
  const { vocabularySize } = model.model.architecture;
  const alone = lossFigures(base ? 0 : positions);
  const compared = positionFigures(base ? positions : 0);
  const streams: Stream[] = [...(base ? [{ model: base.model }] : []), { model: model.model }];
  await scoreWindows(
    streams,
    engine,
    windows,
    ([first, second], targets, from) => {
      if (second) comparePositions(first!, second, vocabularySize, targets, compared, from);
      else lossOfPositions(first!, vocabularySize, targets, alone, from);
    },
    { scoreFrom, signal },
  );
  let begin = 0;
  return windows.map((ids, w) => {
    const targets = ids.subarray(scoreFrom[w]!);
    const range = Array.from(targets, (_, i) => begin + i);
    begin += targets.length;
    const numbers = (column: Float64Array) => range.map((i) => (Number.isFinite(column[i]) ? column[i]! : null));
    const isGreedy = (top1: Int32Array) => range.every((position, i) => top1[position] === targets[i]);
    if (!base) return { loss: numbers(alone.loss), greedy: isGreedy(alone.top1) };
    return {
      loss: numbers(compared.loss),
      greedy: isGreedy(compared.top1),
      base: {
        loss: numbers(compared.lossBase),
        greedy: isGreedy(compared.top1Base),
        jsd: numbers(compared.jsd),
        kl: numbers(compared.kl),
        sameTop1: range.map((i) => compared.sameTop1[i] === 1),
      },
    };
  });
}

/** ln of the continuation's probability; NaN where a logit was not finite. */
export function logLikelihood(loss: readonly (number | null)[]): number {
  return -loss.reduce<number>((sum, value) => sum + (value ?? Number.NaN), 0);
}
