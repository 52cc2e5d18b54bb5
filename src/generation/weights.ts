import { type Engine, type Weights, weightBytes } from "../engine/engine.js";
import type { Layer, Model } from "../model/model.js";

/** A model's weights for a run that needs every layer again and again. */
export interface WeightStore {
  readonly model: Model;
  layer(layer: Layer): Promise<Weights>;
  head(): Promise<Weights>;
  /** Embeddings of ids, [ids.length, hidden]; each is read once. */
  embed(ids: readonly number[]): Promise<Float32Array>;
  /** Whether the layers stay in memory: else each is read from disk whenever it is asked for. */
  readonly resident: boolean;
}

/**
 * Keeps layers in memory if all of them, with what the engine makes of them, take at most so many bytes. The head stays in any
 * case. Where they are not kept, `tidy` is called before each is read.
 */
export function createWeightStore(
  model: Model,
  engine: Engine,
  bytes: number,
  tidy: () => void = () => {},
): WeightStore {
  const resident = weightBytes(engine) * siteNumbers(model) <= bytes;
  const layers = new Map<Layer, Promise<Weights>>();
  const rows = new Map<number, Float32Array>();
  const { hiddenSize } = model.architecture;
  let head: Promise<Weights> | undefined;
  return {
    model,
    resident,
    layer(layer) {
      if (!resident) {
        tidy();
        return model.layerWeights(engine, layer);
      }
      const weights = layers.get(layer) ?? model.layerWeights(engine, layer);
      layers.set(layer, weights);
      return weights;
    },
    head() {
      head ??= model.headWeights(engine);
      return head;
    },
    async embed(ids) {
      const missing = [...new Set(ids.filter((id) => !rows.has(id)))];
      const read = missing.length > 0 ? await model.embed(Int32Array.from(missing)) : undefined;
      for (const [i, id] of missing.entries()) rows.set(id, read!.slice(i * hiddenSize, (i + 1) * hiddenSize));
      const embeddings = new Float32Array(ids.length * hiddenSize);
      for (const [i, id] of ids.entries()) embeddings.set(rows.get(id)!, i * hiddenSize);
      return embeddings;
    },
  };
}

/** Of all layers. */
function siteNumbers({ layers }: Model): number {
  return layers.reduce((sum, { sites }) => sum + sites.reduce((size, site) => size + site.in * site.out, 0), 0);
}
