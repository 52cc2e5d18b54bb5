import { z } from "zod";
import { type Engine, howComputed } from "../engine/engine.js";
import { comparePositions, lossFigures, lossOfPositions, positionFigures } from "../metrics/distribution.js";
import { type ScoreLimits, type Stream, scoreContinuations } from "../model/score.js";
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

/** Figures of so many tokens as the journal has them. */
function figuresSchema(tokens: number, compared: boolean): z.ZodType<ContinuationFigures> {
  const column = z.array(z.number().nullable()).length(tokens);
  const own = { loss: column, greedy: z.boolean() };
  if (!compared) return z.strictObject(own);
  return z.strictObject({
    ...own,
    base: z.strictObject({ ...own, jsd: column, kl: column, sameTop1: z.array(z.boolean()).length(tokens) }),
  });
}

/** Tokens between two entries into the journal. */
const GROUP_TOKENS = 2 ** 14;

interface ContinuationOptions {
  readonly limits?: ScoreLimits | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onContinuations: (continuations: number) => void;
}

/**
 * Runs the models over continuations, teacher-forced, in step; equal ones once, and no group that the journal knows.
 */
export async function continuationFigures(
  model: Contestant,
  base: Contestant | undefined,
  engine: Engine,
  continuations: readonly Continuation[],
  journal: Journal,
  { limits, signal, onContinuations }: ContinuationOptions,
): Promise<ContinuationFigures[]> {
  const how = [model.sha256, base?.sha256 ?? null, ...howComputed(engine)];
  const keys = continuations.map(({ ids, from }) => journalKey("continuation", how, ids, from));
  const entries = new Map(continuations.map((continuation, i) => [keys[i]!, continuation]));
  const known = new Map<string, ContinuationFigures>();
  for (const [key, { ids, from }] of entries) {
    const { data } = figuresSchema(ids.length - from, base !== undefined).safeParse(journal.get(key));
    if (data) known.set(key, data); // else it is not there, or wrong: the file may be a stranger's
  }
  onContinuations(keys.length - entries.size);
  // What goes through a model together decides the last digits: a group that was cut short is computed whole, so that a
  // run that goes on ends in the very figures of one that was never stopped.
  for (const group of groups([...entries])) {
    if (group.some(([key]) => !known.has(key))) {
      const figures = await scoreGroup(model, base, engine, group, { limits, signal });
      for (const [i, [key]] of group.entries()) {
        if (known.has(key)) continue;
        journal.put(key, figures[i]!);
        known.set(key, figures[i]!);
      }
    }
    onContinuations(group.length);
  }
  return keys.map((key) => known.get(key)!);
}

type Entry = readonly [key: string, continuation: Continuation];

/** Those of one context side by side, which is then computed once, in groups of about GROUP_TOKENS. */
function groups(entries: readonly Entry[]): Entry[][] {
  const byContext = new Map<string, Entry[]>();
  for (const entry of entries) {
    const context = entry[1].ids.slice(0, entry[1].from).join();
    const members = byContext.get(context) ?? [];
    members.push(entry);
    byContext.set(context, members);
  }
  const result: Entry[][] = [];
  let tokens = GROUP_TOKENS;
  for (const members of byContext.values()) {
    if (tokens >= GROUP_TOKENS) {
      result.push([]);
      tokens = 0;
    }
    result.at(-1)!.push(...members);
    tokens += members.reduce((sum, [, { ids, from }]) => sum + ids.length - from, members[0]![1].from);
  }
  return result;
}

async function scoreGroup(
  model: Contestant,
  base: Contestant | undefined,
  engine: Engine,
  group: readonly Entry[],
  options: Omit<ContinuationOptions, "onContinuations">,
): Promise<ContinuationFigures[]> {
  const continuations = group.map(([, continuation]) => continuation);
  const tokens = continuations.reduce((sum, { ids, from }) => sum + ids.length - from, 0);
  const { vocabularySize } = model.model.architecture;
  const alone = lossFigures(base ? 0 : tokens);
  const compared = positionFigures(base ? tokens : 0);
  const streams: Stream[] = base ? [base, model] : [model];
  await scoreContinuations(
    streams,
    engine,
    continuations,
    ([first, second], targets, from) => {
      if (second) comparePositions(first!, second, vocabularySize, targets, compared, from);
      else lossOfPositions(first!, vocabularySize, targets, alone, from);
    },
    options,
  );
  let begin = 0;
  return continuations.map(({ ids, from }) => {
    const targets = ids.slice(from);
    const range = targets.map((_, i) => begin + i);
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
