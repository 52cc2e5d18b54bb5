import type { Engine } from "../../src/engine/engine.js";
import { asRows, embedWindows, propagate } from "../../src/model/batches.js";
import type { Model } from "../../src/model/model.js";
import type { FloatArray } from "../../src/tensor/matrix.js";

/** Logits of equal-length windows, [windows × tokens, vocabulary], and the output of every block. */
export async function forward(model: Model, engine: Engine, windows: readonly Int32Array[]) {
  const [batch, ...rest] = await embedWindows(model, engine, windows);
  if (!batch || rest.length > 0) throw new Error("these windows do not fit one batch");
  const hiddenStates: FloatArray[] = [];
  for (const layer of model.layers) {
    await propagate(await engine.compile(layer.program), [batch], await model.layerWeights(engine, layer), () => {});
    hiddenStates.push(batch.hidden);
  }
  const head = await engine.compile(model.architecture.head);
  const logits = await head.run(asRows(batch), await model.headWeights(engine));
  return { logits, hiddenStates };
}

/** The most likely continuation, one token at a time, the whole text run anew for each. */
export async function greedy(
  model: Model,
  engine: Engine,
  prompt: ArrayLike<number>,
  count: number,
): Promise<number[]> {
  const ids = Array.from(prompt);
  for (let i = 0; i < count; i++) {
    const { logits } = await forward(model, engine, [Int32Array.from(ids)]);
    const last = logits.subarray((ids.length - 1) * model.architecture.vocabularySize);
    ids.push(last.indexOf(Math.max(...last)));
  }
  return ids.slice(prompt.length);
}
