import type { Engine } from "../engine/engine.js";
import { comparePositions, positionFigures } from "../metrics/distribution.js";
import { fastestArithmetic } from "../metrics/kernel.js";
import type { Model } from "../model/model.js";
import { scoredPositions, scoreWindows } from "../model/score.js";
import type { Likely, SampleToken } from "../results/study-results.js";
import type { FloatArray } from "../tensor/matrix.js";

/** Digits that are kept of probabilities and divergences: they are for reading. */
const DIGITS = 4;

/**
 * Windows token by token as base and compressed model see them: what each found likeliest at every position, with
 * probabilities, and how far they are apart. `textOf` gives a token's text.
 */
export async function readTogether(
  engine: Engine,
  base: Model,
  model: Model,
  windows: readonly Int32Array[],
  textOf: (id: number) => string,
  signal: AbortSignal | undefined,
): Promise<SampleToken[][]> {
  const { vocabularySize } = base.architecture;
  const figures = positionFigures(scoredPositions(windows));
  const likely: { base: Likely[]; compressed: Likely[] }[] = [];
  await scoreWindows(
    [{ model: base }, { model }],
    engine,
    windows,
    ([logitsBase, logits], targets, from) => {
      comparePositions(logitsBase!, logits!, vocabularySize, targets, figures, from);
      for (let i = 0; i < targets.length; i++) {
        likely.push({
          base: likeliest(logitsBase!, i * vocabularySize, vocabularySize, textOf),
          compressed: likeliest(logits!, i * vocabularySize, vocabularySize, textOf),
        });
      }
    },
    { signal },
  );
  let row = 0;
  return windows.map((ids) =>
    Array.from(ids, (id, position): SampleToken => {
      if (position === 0) return { text: textOf(id), jsd: null, base: [], compressed: [] };
      const jsd = figures.jsd[row]!;
      return { text: textOf(id), jsd: Number.isFinite(jsd) ? rounded(jsd) : null, ...likely[row++]! };
    }),
  );
}

function likeliest(logits: FloatArray, begin: number, vocabulary: number, textOf: (id: number) => string): Likely[] {
  const distribution = fastestArithmetic(vocabulary).softmax(0, logits, begin);
  if (!distribution) return [];
  const { top, largest, sum } = distribution;
  return Array.from(top.ids).flatMap((id, rank): Likely[] =>
    id < 0 ? [] : [[textOf(id), rounded(Math.exp(top.logits[rank]! - largest) / sum)]],
  );
}

function rounded(value: number): number {
  return Number(value.toPrecision(DIGITS));
}
