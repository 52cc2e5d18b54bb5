import { type Engine, emptyRows, type Rows, sharedRows, type Weights } from "../engine/engine.js";
import { throwIfAborted } from "../errors.js";
import { createStopwatch, type Stopwatch } from "../progress.js";
import type { FloatArray } from "../tensor/matrix.js";
import {
  type Batch,
  batchWindows,
  type Continuation,
  embed,
  packContinuations,
  propagate,
  type Tokens,
} from "./batches.js";
import type { FinalStates } from "./final-states.js";
import type { Layer, Model } from "./model.js";

/** One of the models that go through the same windows in step. */
export interface Stream {
  readonly model: Model;
  /** Changes a batch's hidden states in place behind every block, to see how much a disturbance of known size does. */
  readonly disturb?: (batch: Batch) => void;
  /** The model's own states where it went through the same tokens before; of no use to a disturbed one. */
  readonly states?: FinalStates | undefined;
}

/**
 * Receives the logits of consecutive scored positions, [positions, vocabulary] for each stream, and the tokens that
 * really came next. The logits are gone when it is done.
 */
export type Score = (logits: readonly FloatArray[], targets: Int32Array, from: number) => void | Promise<void>;

/** Hidden states of all streams stay below this; more batches go through the models in several groups. */
const HIDDEN_BYTES = 2 ** 28;
/** Logits of one model computed at once: 32 MiB in float32. */
const LOGITS = 2 ** 23;
/** And of all streams together, where those are many. */
const ALL_LOGITS = 2 ** 26;
/** Positions that go through a head at once are a multiple of this, where they are as many: for other numbers products may take twice as long. */
const POSITIONS = 64;

/** Tokens of windows that have others before them: all but the first of each. */
export function scoredPositions(windows: readonly Int32Array[]): number {
  return windows.reduce((sum, window) => sum + window.length - 1, 0);
}

/** For a process that may take so much and no more. */
export interface ScoreLimits {
  /** What hidden states of all streams stay below, but for a single batch. */
  readonly hiddenBytes: number;
  /** Called when weights, or what a run leaves behind, are not needed any more. */
  collectGarbage(): void;
}

interface ScoreOptions {
  readonly limits?: ScoreLimits | undefined;
  /** Told of the stages embed, read, blocks, head and figures. */
  readonly watch?: Pick<Stopwatch, "time"> | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: (steps: number) => void;
}

/**
 * Runs every stream over the windows, layer by layer, and hands the logits of every position that has a next token to
 * `score`, in order. Weights and hidden states are held for one layer and one group of windows at a time.
 */
export async function scoreWindows(
  streams: readonly Stream[],
  engine: Engine,
  windows: readonly Int32Array[],
  score: Score,
  options: ScoreOptions = {},
): Promise<void> {
  await scoreWindowsBy(runStreams(streams, engine, options), streams, engine, windows, score, options);
}

/** Runs tokens through the blocks of every stream: the hidden states that their heads read. */
type RunBlocks = (tokens: readonly Tokens[]) => Promise<Batch[][]>;

/** As scoreWindows, with another way to run the streams' blocks. */
export async function scoreWindowsBy(
  run: RunBlocks,
  streams: readonly Stream[],
  engine: Engine,
  windows: readonly Int32Array[],
  score: Score,
  options: ScoreOptions = {},
): Promise<void> {
  let from = 0;
  for (const [batches] of groupBatches(streams, engine, batchWindows(windows), options)) {
    const rows = batches.flatMap(({ ids, windows: count, tokens }, batch) =>
      Array.from({ length: count * tokens }, (_, row) => ({ batch, row, target: ids[row + 1]! })).filter(
        ({ row }) => (row + 1) % tokens !== 0,
      ),
    );
    await scoreBatches(run, streams, engine, batches, rows, from, score, options);
    from += rows.length;
  }
}

/**
 * Runs every stream over continuations, each after what it continues, and hands the logits for every one of their tokens to
 * `score`: continuation after continuation, token after token. A text that several in a row continue is computed once.
 */
export async function scoreContinuations(
  streams: readonly Stream[],
  engine: Engine,
  continuations: readonly Continuation[],
  score: Score,
  options: ScoreOptions = {},
): Promise<void> {
  const { packs, rows } = packContinuations(continuations);
  const run = runStreams(streams, engine, options);
  let from = 0;
  for (const [group, first] of groupBatches(streams, engine, packs, options)) {
    const wanted = rows
      .filter(({ batch }) => batch >= first && batch < first + group.length)
      .map(({ batch, row, continuation, token }) => ({
        batch: batch - first,
        row,
        target: continuations[continuation]!.ids[token]!,
      }));
    await scoreBatches(run, streams, engine, group, wanted, from, score, options);
    from += wanted.length;
  }
}

/** How many steps `scoreWindows` reports: a window through a block is one, through a head as many as it is larger. */
export function scoringSteps(streams: readonly Stream[], windows: readonly Int32Array[]): number {
  return windows.length * streams.reduce((sum, { model }) => sum + model.layers.length + headSteps(model), 0);
}

/**
 * Windows as they go through a block together, in order: the pieces that scoreWindows computes alike, to the last digit,
 * whatever else it is given.
 */
export function windowBatches(windows: readonly Int32Array[]): Int32Array[][] {
  let next = 0;
  return batchWindows(windows).map((batch) => {
    next += batch.windows;
    return windows.slice(next - batch.windows, next);
  });
}

/** What a window through a head costs, in windows through a block. */
export function headSteps({ architecture, layers }: Model): number {
  const block = layers[0]!.sites.reduce((sum, site) => sum + site.in * site.out, 0);
  return Math.ceil((architecture.vocabularySize * architecture.hiddenSize) / block);
}

/**
 * Consecutive batches whose hidden states are held at once, with the number of the first. A batch is never divided: what
 * goes through a block together decides the last digits.
 */
function groupBatches(
  streams: readonly Stream[],
  engine: Engine,
  batches: readonly Tokens[],
  { limits }: ScoreOptions,
): (readonly [Tokens[], number])[] {
  const bytes = engine.precision === "float64" ? 8 : 4;
  const columns = streams.reduce((sum, { model }) => sum + model.architecture.hiddenSize, 0);
  const groups: (readonly [Tokens[], number])[] = [];
  let room = 0;
  for (const [i, batch] of batches.entries()) {
    const need = batch.ids.length * columns * bytes;
    if (need > room || groups.length === 0) {
      groups.push([[], i]);
      room = Math.min(HIDDEN_BYTES, limits?.hiddenBytes ?? HIDDEN_BYTES);
    }
    groups.at(-1)![0].push(batch);
    room -= need;
  }
  return groups;
}

function runStreams(streams: readonly Stream[], engine: Engine, options: ScoreOptions): RunBlocks {
  return async (tokens) => {
    const batches: Batch[][] = [];
    for (const stream of streams) batches.push(await runBlocks(stream, engine, tokens, options));
    return batches;
  };
}

async function runBlocks(
  { model, disturb, states }: Stream,
  engine: Engine,
  tokens: readonly Tokens[],
  { limits, watch = createStopwatch(), signal, onStep = () => {} }: ScoreOptions,
): Promise<Batch[]> {
  const known = new Map(tokens.map((one) => [one, states?.of(one)]));
  const unknown = tokens.filter((one) => !known.get(one));
  const batches = await watch.time("embed", () => embed(model, engine, unknown));
  let weights: Weights | undefined;
  const runLayer = async (layer: Layer) => {
    const read = await watch.time("read", () => model.layerWeights(engine, layer, weights));
    weights = read;
    const executable = await engine.compile(layer.program);
    const onBatch = (batch: Batch) => {
      throwIfAborted(signal);
      disturb?.(batch);
      limits?.collectGarbage();
      onStep(batch.windows);
    };
    await watch.time("blocks", () => propagate(executable, batches, read, onBatch));
  };
  for (const layer of model.layers) {
    await runLayer(layer);
    limits?.collectGarbage();
  }
  for (const batch of batches) states?.keep(batch);
  const computed = batches.values();
  return tokens.map((one) => {
    const hidden = known.get(one);
    if (!hidden) return computed.next().value!;
    onStep(one.windows * model.layers.length);
    return { ...one, hidden };
  });
}

/** A row whose logits are wanted, and the token that they are to predict. */
interface Row {
  readonly batch: number;
  readonly row: number;
  readonly target: number;
}

async function scoreBatches(
  run: RunBlocks,
  streams: readonly Stream[],
  engine: Engine,
  tokens: readonly Tokens[],
  rows: readonly Row[],
  begin: number,
  score: Score,
  options: ScoreOptions,
): Promise<void> {
  const { limits, watch = createStopwatch(), signal, onStep = () => {} } = options;
  const batches = await run(tokens);
  const heads = await watch.time("read", () => loadHeads(streams, engine));
  const size = Math.min(positionsAtOnce(streams), rows.length);
  const windows = tokens.reduce((sum, batch) => sum + batch.windows, 0);
  const steps = (windows * streams.reduce((sum, { model }) => sum + headSteps(model), 0)) / rows.length;
  const rooms = streams.map(({ model }) => sharedRows(engine, size * model.architecture.vocabularySize));
  for (let from = 0, to = 0; from < rows.length; from = to) {
    // Never of two batches: what goes through a head together decides the last digits too.
    for (to = from + 1; to < rows.length && to < from + size && rows[to]!.batch === rows[from]!.batch; ) to++;
    const some = rows.slice(from, to);
    const logits: FloatArray[] = [];
    for (const [s, head] of heads.entries()) {
      throwIfAborted(signal);
      const room = rooms[s]!.subarray(0, some.length * streams[s]!.model.architecture.vocabularySize);
      logits.push(await watch.time("head", () => head(batches[s]!, some, room)));
    }
    const targets = Int32Array.from(some, ({ target }) => target);
    await watch.time("figures", async () => score(logits, targets, begin + from));
    limits?.collectGarbage();
    onStep(steps * some.length);
  }
}

/** Positions whose logits are computed at once. */
function positionsAtOnce(streams: readonly Stream[]): number {
  const most = Math.min(LOGITS, ALL_LOGITS / streams.length) / streams[0]!.model.architecture.vocabularySize;
  return most < POSITIONS ? Math.ceil(most) : most - (most % POSITIONS);
}

type Head = (batches: readonly Batch[], rows: readonly Row[], room: FloatArray) => Promise<FloatArray>;

/** Each stream's head; what is equal in several models is held once. */
async function loadHeads(streams: readonly Stream[], engine: Engine): Promise<Head[]> {
  const loaded = new Map<Model, Weights>();
  const heads: Head[] = [];
  for (const { model } of streams) {
    const weights = loaded.get(model) ?? (await model.headWeights(engine, [...loaded.values()].at(-1)));
    loaded.set(model, weights);
    const executable = await engine.compile(model.architecture.head);
    const { hiddenSize } = model.architecture;
    heads.push((batches, rows, room) => executable.run(takeRows(batches, hiddenSize, rows, engine), weights, room));
  }
  return heads;
}

/** The named rows, one after the other, as one window. */
function takeRows(batches: readonly Batch[], columns: number, rows: readonly Row[], engine: Engine): Rows {
  const data = emptyRows(engine, rows.length * columns);
  for (const [i, { batch, row }] of rows.entries()) {
    data.set(batches[batch]!.hidden.subarray(row * columns, (row + 1) * columns), i * columns);
  }
  return { data, windows: 1, tokens: rows.length };
}
