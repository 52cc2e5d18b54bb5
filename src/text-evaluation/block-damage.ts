import type { Engine } from "../engine/engine.js";
import { throwIfAborted } from "../errors.js";
import { positionFigures } from "../metrics/distribution.js";
import { createFigureCrew } from "../metrics/figure-crew.js";
import { summariseDivergence } from "../metrics/summary.js";
import { type Batch, embed, propagate, type Tokens } from "../model/batches.js";
import type { Model } from "../model/model.js";
import { headSteps, type Score, type Stream, scoredPositions, scoreWindowsBy } from "../model/score.js";
import { countSteps } from "../progress.js";
import type { BlockResult } from "../results/study-results.js";
import { type TextRun, windowOfPosition } from "./evaluate-text.js";

/**
 * What each block's compressed weights do alone, all other blocks being the base's: the divergence from the base for
 * each, over all positions of the windows. The hidden states of all of them go through the blocks in step, so that every
 * block's weights are read once a group of windows; block l runs l + 2 times.
 */
export async function blockDamage(
  { engine, windows, options, watch }: TextRun,
  base: Model,
  model: Model,
): Promise<BlockResult[]> {
  const { signal, onProgress = () => {} } = options;
  const { vocabularySize } = base.architecture;
  const layers = base.layers.length;
  const figures = base.layers.map(() => positionFigures(scoredPositions(windows)));
  const runs = (layers * (layers + 3)) / 2 + (layers + 1) * headSteps(base);
  const onStep = countSteps(onProgress, "each block alone", windows.length * runs);
  // As many streams as are held at once; all end in the base's head.
  const streams: Stream[] = Array.from({ length: layers + 1 }, () => ({ model: base }));
  const crew = createFigureCrew(engine.threads);
  const score: Score = async ([own, ...others], targets, from) => {
    for (const [layer, logits] of others.entries()) {
      await crew.compare(own!, logits, vocabularySize, targets, figures[layer]!, from);
    }
  };
  const run = (tokens: readonly Tokens[]) => runSwaps(base, model, engine, tokens, onStep, signal);
  try {
    await watch.time("blocks", () => scoreWindowsBy(run, streams, engine, windows, score, { signal, onStep }));
  } finally {
    await crew.dispose();
  }
  const windowOf = windowOfPosition(windows);
  return figures.map((one, layer) => {
    const { mean, standardError } = summariseDivergence(one, windowOf).jsd;
    return { layer, jsd: { mean, standardError } };
  });
}

/** The base's hidden states behind its last block, and those with each one of its blocks replaced. */
async function runSwaps(
  base: Model,
  model: Model,
  engine: Engine,
  tokens: readonly Tokens[],
  onStep: (steps: number) => void,
  signal: AbortSignal | undefined,
): Promise<Batch[][]> {
  const own = await embed(base, engine, tokens);
  const swapped: Batch[][] = [];
  const onBatch = (batch: Batch) => {
    throwIfAborted(signal);
    onStep(batch.windows);
  };
  for (const layer of base.layers) {
    const executable = await engine.compile(layer.program);
    const next = own.map((batch) => ({ ...batch, hidden: batch.hidden.slice() }));
    await propagate(executable, [...own, ...swapped.flat()], await base.layerWeights(engine, layer), onBatch);
    await propagate(executable, next, await model.layerWeights(engine, model.layers[layer.index]!), onBatch);
    swapped.push(next);
  }
  return [own, ...swapped];
}
