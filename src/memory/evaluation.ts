import type { Engine } from "../engine/engine.js";
import { batchWindows } from "../model/batches.js";
import type { Model } from "../model/model.js";
import type { ScoreLimits } from "../model/score.js";
import { checkLimit, hiddenBytes, layerBytes, parameterBytes, processBytes, runBytes, sum } from "./footprint.js";
import { collectGarbage } from "./garbage.js";

/** Of each model: logits as they are computed, and as they are reduced to figures. */
const LOGIT_BYTES = 4 * 2 ** 24;
/** Figures of a position while they are summed up. */
const POSITION_BYTES = 256;

/** Tokens of a batch of continuations, where tasks are scored. */
const TASK_TOKENS = 2048;

/** How a limit is kept. */
export interface EvaluationLimits extends ScoreLimits {
  /** What generation may take for weights, keys and values. */
  readonly generationBytes: number;
}

/** What is left of a limit for hidden states. Throws InputError for one too low for a single layer and batch. */
export function evaluationLimits(
  models: readonly Model[],
  engine: Engine,
  windows: readonly Int32Array[],
  limit: number,
): EvaluationLimits {
  const batches = batchWindows(windows.length > 0 ? windows : [new Int32Array(TASK_TOKENS)]);
  const streams = models.length;
  const largest = batches.reduce((a, b) => (b.ids.length > a.ids.length ? b : a));
  const layer = Math.max(...models.map((model) => layerBytes(model, engine) + runBytes(model, engine, batches)));
  const heads = sum(models.map(({ architecture }) => parameterBytes(architecture.head, engine) + LOGIT_BYTES));
  const positions = POSITION_BYTES * sum(windows.map(({ length }) => length));
  const batch = streams * hiddenBytes(models[0]!, engine, [largest]);
  const needed = processBytes(Math.max(layer, heads) + positions + batch);
  checkLimit(limit, needed, "run a layer of this model");
  return { hiddenBytes: limit - needed + batch, generationBytes: limit - needed, collectGarbage };
}
