import { type Engine, emptyRows, type Rows, type Weights } from "../engine/engine.js";
import { throwIfAborted } from "../errors.js";
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
import type { Model } from "./model.js";

/** One of the models that go through the same windows in step. */
export interface Stream {
  readonly model: Model;
  /** Changes every block's output in place, to see how much a disturbance of known size does. */
  readonly disturb?: (rows: FloatArray) => void;
}

/**
 * Receives the logits of consecutive scored positions, [positions, vocabulary] for each stream, and the tokens that
 * really came next. The logits are gone when it returns.
 */
export type Score = (logits: readonly FloatArray[], targets: Int32Array, from: number) => void;

/** Hidden states of all streams stay below this; more windows go through the models in several groups. */
const HIDDEN_BYTES = 2 ** 28;
/** Logits of one model computed at once: 16 MiB in float32. */
const LOGITS = 2 ** 22;
/** And of all streams together, where those are many. */
const ALL_LOGITS = 2 ** 26;

/** Tokens of windows that have others before them: all but the first of each. */
export function scoredPositions(windows: readonly Int32Array[]): number {
  return windows.reduce((sum, window) => sum + window.length - 1, 0);
}

interface ScoreOptions {
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
  for (const group of groupWindows(streams, engine, windows)) {
    const batches = batchWindows(group);
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
  const wanted = rows.map(({ batch, row, continuation, token }) => ({
    batch,
    row,
    target: continuations[continuation]!.ids[token]!,
  }));
  const run = runStreams(streams, engine, options);
  await scoreBatches(run, streams, engine, packs, wanted, 0, score, options);
}

/** How many steps `scoreWindows` reports: a window through a block is one, through a head as many as it is larger. */
export function scoringSteps(streams: readonly Stream[], windows: readonly Int32Array[]): number {
  return windows.length * streams.reduce((sum, { model }) => sum + model.layers.length + headSteps(model), 0);
}

/** What a window through a head costs, in windows through a block. */
export function headSteps({ architecture, layers }: Model): number {
  const block = layers[0]!.sites.reduce((sum, site) => sum + site.in * site.out, 0);
  return Math.ceil((architecture.vocabularySize * architecture.hiddenSize) / block);
}

function groupWindows(streams: readonly Stream[], engine: Engine, windows: readonly Int32Array[]): Int32Array[][] {
  const bytes = engine.precision === "float64" ? 8 : 4;
  const columns = streams.reduce((sum, { model }) => sum + model.architecture.hiddenSize, 0);
  const groups: Int32Array[][] = [];
  let room = 0;
  for (const window of windows) {
    const need = window.length * columns * bytes;
    if (need > room || groups.length === 0) {
      groups.push([]);
      room = HIDDEN_BYTES;
    }
    groups.at(-1)!.push(window);
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
  { model, disturb }: Stream,
  engine: Engine,
  tokens: readonly Tokens[],
  { signal, onStep = () => {} }: ScoreOptions,
): Promise<Batch[]> {
  const batches = await embed(model, engine, tokens);
  for (const layer of model.layers) {
    const weights = await model.layerWeights(layer);
    const executable = await engine.compile(layer.program);
    await propagate(executable, batches, weights, (batch) => {
      throwIfAborted(signal);
      disturb?.(batch.hidden);
      onStep(batch.windows);
    });
  }
  return batches;
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
  const { signal, onStep = () => {} } = options;
  const batches = await run(tokens);
  const heads = await loadHeads(streams, engine);
  const logitsAtOnce = Math.min(LOGITS, ALL_LOGITS / streams.length);
  const size = Math.ceil(logitsAtOnce / streams[0]!.model.architecture.vocabularySize);
  const windows = tokens.reduce((sum, batch) => sum + batch.windows, 0);
  const steps = (windows * streams.reduce((sum, { model }) => sum + headSteps(model), 0)) / rows.length;
  const logits: FloatArray[] = [];
  for (let from = 0; from < rows.length; from += size) {
    const some = rows.slice(from, from + size);
    for (const [s, head] of heads.entries()) {
      throwIfAborted(signal);
      logits[s] = await head(batches[s]!, some, logits[s]);
    }
    score(
      logits,
      Int32Array.from(some, ({ target }) => target),
      begin + from,
    );
    onStep(steps * some.length);
  }
}

type Head = (batches: readonly Batch[], rows: readonly Row[], room: FloatArray | undefined) => Promise<FloatArray>;

/** Each stream's head; what is equal in several models is held once. */
async function loadHeads(streams: readonly Stream[], engine: Engine): Promise<Head[]> {
  const loaded = new Map<Model, Weights>();
  const heads: Head[] = [];
  for (const { model } of streams) {
    const weights = loaded.get(model) ?? (await model.headWeights([...loaded.values()].at(-1)));
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
