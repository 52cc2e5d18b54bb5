import { type Engine, emptyRows, type Rows, type Weights } from "../engine/engine.js";
import { throwIfAborted } from "../errors.js";
import type { FloatArray } from "../tensor/matrix.js";
import { type Batch, embedWindows, propagate } from "./batches.js";
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

/** The first token of each window that is scored, by what comes before it; the second where it is not said. */
export type ScoreFrom = readonly number[] | undefined;

/** Tokens of windows that are scored: all but the first of each where nothing else is said. */
export function scoredPositions(windows: readonly Int32Array[], scoreFrom?: ScoreFrom): number {
  return windows.reduce((sum, window, w) => sum + window.length - (scoreFrom?.[w] ?? 1), 0);
}

interface ScoreOptions {
  readonly scoreFrom?: ScoreFrom;
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: (steps: number) => void;
}

/**
 * Runs every stream over the windows, layer by layer, and hands the logits of every position whose next token is scored
 * to `score`, in order. Weights and hidden states are held for one layer and one group of windows at a time.
 */
export async function scoreWindows(
  streams: readonly Stream[],
  engine: Engine,
  windows: readonly Int32Array[],
  score: Score,
  { scoreFrom, signal, onStep = () => {} }: ScoreOptions = {},
): Promise<void> {
  let from = 0;
  let window = 0;
  for (const group of groupWindows(streams, engine, windows)) {
    const batches: Batch[][] = [];
    for (const stream of streams) batches.push(await runBlocks(stream, engine, group, onStep, signal));
    const starts = scoreFrom?.slice(window, window + group.length);
    from = await scoreGroup(streams, engine, batches, starts, from, score, onStep, signal);
    window += group.length;
  }
}

/** How many steps `scoreWindows` reports: a window through a block is one, through a head as many as it is larger. */
export function scoringSteps(streams: readonly Stream[], windows: readonly Int32Array[]): number {
  return windows.length * streams.reduce((sum, { model }) => sum + model.layers.length + headSteps(model), 0);
}

function headSteps({ architecture, layers }: Model): number {
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

async function runBlocks(
  { model, disturb }: Stream,
  engine: Engine,
  windows: readonly Int32Array[],
  onStep: (steps: number) => void,
  signal: AbortSignal | undefined,
): Promise<Batch[]> {
  const batches = await embedWindows(model, engine, windows);
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

/** Positions whose logits are computed at once: the rows, where they are, and the tokens that come next there. */
interface Chunk {
  readonly rows: readonly Row[];
  readonly targets: Int32Array;
}

interface Row {
  readonly batch: number;
  readonly row: number;
}

async function scoreGroup(
  streams: readonly Stream[],
  engine: Engine,
  batches: readonly (readonly Batch[])[],
  scoreFrom: ScoreFrom,
  begin: number,
  score: Score,
  onStep: (steps: number) => void,
  signal: AbortSignal | undefined,
): Promise<number> {
  const heads = await loadHeads(streams, engine);
  const size = Math.ceil(LOGITS / streams[0]!.model.architecture.vocabularySize);
  const chunks = chunksOf(batches[0]!, scoreFrom, size);
  const positions = chunks.reduce((sum, { targets }) => sum + targets.length, 0);
  const windows = batches[0]!.reduce((sum, batch) => sum + batch.windows, 0);
  const steps = (windows * streams.reduce((sum, { model }) => sum + headSteps(model), 0)) / positions;
  const logits: FloatArray[] = [];
  let from = begin;
  for (const { rows, targets } of chunks) {
    for (const [s, head] of heads.entries()) {
      throwIfAborted(signal);
      logits[s] = await head(batches[s]!, rows, logits[s]);
    }
    score(logits, targets, from);
    from += targets.length;
    onStep(steps * targets.length);
  }
  return from;
}

function chunksOf(batches: readonly Batch[], scoreFrom: ScoreFrom, size: number): Chunk[] {
  const rows: Row[] = [];
  const targets: number[] = [];
  let window = 0;
  for (const [batch, { ids, tokens }] of batches.entries()) {
    for (const [w, windowIds] of ids.entries()) {
      for (let target = scoreFrom?.[window] ?? 1; target < windowIds.length; target++) {
        rows.push({ batch, row: w * tokens + target - 1 });
        targets.push(windowIds[target]!);
      }
      window++;
    }
  }
  return Array.from({ length: Math.ceil(rows.length / size) }, (_, chunk) => ({
    rows: rows.slice(chunk * size, (chunk + 1) * size),
    targets: Int32Array.from(targets.slice(chunk * size, (chunk + 1) * size)),
  }));
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
