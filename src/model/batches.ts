import { type Engine, type Executable, emptyRows, type Rows, type Segment, type Weights } from "../engine/engine.js";
import type { FloatArray } from "../tensor/matrix.js";
import { atOnce } from "../turns.js";
import type { Model } from "./model.js";

/** Tokens that go through a block in one run: enough to keep the matrix products busy, few enough to stay in caches. */
const BATCH_TOKENS = 1024;
/** Embeddings that are read at once, in float32: the more, the nearer the rows of the matrix lie to one another. */
const EMBEDDED_BYTES = 2 ** 24;

/** Token ids that go through the blocks in one run: windows of one length, or one window made of segments. */
export interface Tokens {
  /** [windows × tokens], window after window. */
  readonly ids: Int32Array;
  readonly windows: number;
  readonly tokens: number;
  readonly segments?: readonly Segment[];
}

/** Tokens with their hidden states, which every block replaces. */
export interface Batch extends Tokens {
  hidden: FloatArray;
}

/** Batches one after the other, in memory or elsewhere; what is put in place of one's hidden states is there the next time. */
export type Batches = Iterable<Batch> | AsyncIterable<Batch>;

/** Ids of which those from `from` on are a continuation of those before; at least one stands before. */
export interface Continuation {
  readonly ids: ArrayLike<number>;
  readonly from: number;
}

/** A row whose logits are wanted, in tokens number `batch`, for the token of this continuation. */
export interface ContinuationRow {
  readonly batch: number;
  readonly row: number;
  readonly continuation: number;
  /** Index into the continuation's ids. */
  readonly token: number;
}

/** Groups windows, in their order, into runs of one length and at most BATCH_TOKENS tokens (or one window). */
export function batchWindows(windows: readonly Int32Array[]): Tokens[] {
  const groups: Int32Array[][] = [];
  for (const window of windows) {
    const last = groups.at(-1);
    if (last?.[0]?.length === window.length && (last.length + 1) * window.length <= BATCH_TOKENS) last.push(window);
    else groups.push([window]);
  }
  return groups.map((group) => {
    const tokens = group[0]!.length;
    const ids = new Int32Array(group.length * tokens);
    for (const [w, window] of group.entries()) ids.set(window, w * tokens);
    return { ids, windows: group.length, tokens };
  });
}

/**
 * Packs continuations into windows of at most BATCH_TOKENS tokens (or one text and its continuations): a text that
 * several continue, one after the other in the list, is computed once. Says where the logits for each token are.
 */
export function packContinuations(continuations: readonly Continuation[]): {
  packs: Tokens[];
  rows: ContinuationRow[];
} {
  const packs: { ids: number[]; segments: Segment[] }[] = [];
  const rows: ContinuationRow[] = [];
  for (const { context, members } of byContext(continuations)) {
    const need = context.length + members.reduce((sum, { ids, from }) => sum + ids.length - from - 1, 0);
    if (packs.length === 0 || packs.at(-1)!.ids.length + need > BATCH_TOKENS) packs.push({ ids: [], segments: [] });
    const batch = packs.length - 1;
    const { ids, segments } = packs[batch]!;
    for (const id of context) ids.push(id);
    const lastOfContext = ids.length - 1;
    const text = segments.push({ tokens: context.length }) - 1;
    for (const { continuation, ids: all, from } of members) {
      // The last token is predicted, nothing is predicted from it.
      const own = Array.from(all).slice(from, -1);
      rows.push({ batch, row: lastOfContext, continuation, token: from });
      for (let i = 0; i < own.length; i++) {
        rows.push({ batch, row: ids.length + i, continuation, token: from + 1 + i });
      }
      if (own.length === 0) continue;
      for (const id of own) ids.push(id);
      segments.push({ tokens: own.length, continues: text });
    }
  }
  return {
    packs: packs.map(({ ids, segments }) => ({ ids: Int32Array.from(ids), windows: 1, tokens: ids.length, segments })),
    rows,
  };
}

/** Continuations that follow one another in the list and continue the same ids. */
function byContext(continuations: readonly Continuation[]) {
  const groups: { key: string; context: number[]; members: (Continuation & { continuation: number })[] }[] = [];
  for (const [continuation, { ids, from }] of continuations.entries()) {
    const context = Array.from(ids).slice(0, from);
    const key = context.join();
    if (groups.at(-1)?.key !== key) groups.push({ key, context, members: [] });
    groups.at(-1)!.members.push({ ids, from, continuation });
  }
  return groups;
}

/** The token embeddings of windows of ids, batch by batch, in the engine's precision. */
export async function embedWindows(
  model: Model,
  engine: Pick<Engine, "precision">,
  windows: readonly Int32Array[],
): Promise<Batch[]> {
  return embed(model, engine, batchWindows(windows));
}

/** The token embeddings, in the engine's precision. */
export async function embed(
  model: Model,
  engine: Pick<Engine, "precision">,
  groups: readonly Tokens[],
): Promise<Batch[]> {
  const { hiddenSize } = model.architecture;
  const batches: Batch[] = [];
  for (let from = 0, to = 0; from < groups.length; from = to) {
    let count = 0;
    for (; to < groups.length; to++) {
      const more = groups[to]!.ids.length;
      if (count > 0 && 4 * (count + more) * hiddenSize > EMBEDDED_BYTES) break;
      count += more;
    }
    const some = groups.slice(from, to);
    const rows = await model.embed(Int32Array.from(some.flatMap(({ ids }) => [...ids])));
    let row = 0;
    for (const tokens of some) {
      const hidden = emptyRows(engine, tokens.ids.length * hiddenSize);
      hidden.set(rows.subarray(row * hiddenSize, (row + tokens.ids.length) * hiddenSize));
      row += tokens.ids.length;
      batches.push({ ...tokens, hidden });
    }
  }
  return batches;
}

/**
 * Calls `each` for every batch: of those in memory for as many at once as there are lanes, a lane's number with it, until too few are
 * left for all lanes; else for one after the other. In order, so far as they begin.
 */
export async function eachBatch(
  batches: Batches,
  lanes: number,
  each: (batch: Batch, lane?: number) => Promise<void>,
): Promise<void> {
  if (!Array.isArray(batches) || lanes < 2) {
    for await (const batch of batches) await each(batch);
    return;
  }
  const together: readonly Batch[] = batches.slice(0, batches.length - (batches.length % lanes));
  await atOnce(together, lanes, each);
  for (const batch of batches.slice(together.length) as Batch[]) await each(batch);
}

/**
 * Replaces the hidden states of every batch by a block's output. Spare pieces of memory go round: each batch's old states become
 * the room for the new ones of the next in its lane.
 */
export async function propagate(
  executable: Executable,
  batches: Batches,
  weights: Weights,
  onBatch: (batch: Batch) => void,
): Promise<void> {
  const spare = new Map<number, FloatArray>();
  await eachBatch(batches, executable.lanes, async (batch, lane) => {
    const output = await executable.run(asRows(batch), weights, spare.get(lane ?? 0), lane);
    spare.set(lane ?? 0, batch.hidden);
    batch.hidden = output;
    onBatch(batch);
  });
}

/** A batch as an engine's input. */
export function asRows({ hidden, windows, tokens, segments }: Batch): Rows {
  return { data: hidden, windows, tokens, segments };
}
