import type { Layer, Model } from "./model.js";

/** Every layer with its weights, in order; the next layer's are read while the current one is worked on. */
export async function* layersWithWeights(
  model: Model,
): AsyncGenerator<{ readonly layer: Layer; readonly weights: Map<string, Float32Array> }> {
  const read = (index: number) => {
    const layer = model.layers[index];
    return layer && { layer, weights: model.layerWeights(layer) };
  };
  let next = read(0);
  try {
    while (next) {
      const { layer } = next;
      const weights = await next.weights;
      next = read(layer.index + 1);
      next?.weights.catch(() => {}); // reported when its turn comes
      yield { layer, weights };
    }
  } finally {
    await next?.weights.catch(() => {}); // no file may be closed while it is being read
  }
}
