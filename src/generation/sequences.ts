import { type Cache, cacheBytes, copySequence, createCache } from "../engine/cache.js";
import type { Engine, Weights } from "../engine/engine.js";
import type { Model } from "../model/model.js";
import type { FloatArray } from "../tensor/matrix.js";
import type { WeightStore } from "./weights.js";

/** Tokens of one sequence that go through a block at once: the attention scores of more would take much memory. */
const PIECE_TOKENS = 512;

/** The keys and values of a batch of sequences in every layer, and the runs that extend them. */
export interface Sequences {
  /** Appends tokens to each of these sequences, any number to each; the logits after the last, [slots, vocabulary]. */
  append(slots: readonly number[], tokens: readonly (readonly number[])[]): Promise<FloatArray>;
  /** Appends one token to each of the first tokens.length sequences; the logits after it, as above. */
  step(tokens: readonly number[]): Promise<FloatArray>;
  /** Replaces sequence `to` by the first so many tokens of sequence `from`. */
  copy(from: number, to: number, tokens: number): void;
  /** Makes a sequence empty. */
  clear(slot: number): void;
}

/** Bytes of keys and values that one token of one sequence takes in all layers together. */
export function bytesAToken(model: Model, engine: Engine): number {
  return model.layers.reduce((sum, { program }) => sum + cacheBytes(program, engine), 0);
}

export function createSequences(weights: WeightStore, engine: Engine, count: number, capacity: number): Sequences {
  const { model } = weights;
  const caches: Cache[] = model.layers.map(({ program }) => createCache(program, engine, count, capacity));
  const lengths = new Array<number>(count).fill(0);
  const { hiddenSize, head } = model.architecture;
  let room: FloatArray | undefined;

  const logitsOf = async (rows: FloatArray, positions: number): Promise<FloatArray> => {
    const executable = await engine.compile(head);
    room = await executable.run({ data: rows, windows: 1, tokens: positions }, await weights.head(), room);
    return room;
  };
  const eachLayer = async (run: (weights: Weights, layer: number) => Promise<void>) => {
    for (const layer of model.layers) await run(await weights.layer(layer), layer.index);
  };

  return {
    async append(slots, tokens) {
      const hidden: FloatArray[] = [];
      for (const ids of tokens) hidden.push(await weights.embed(ids));
      await eachLayer(async (layerWeights, index) => {
        const executable = await engine.compile(model.layers[index]!.program);
        for (const [i, slot] of slots.entries()) {
          const rows = hidden[i]!;
          const output = rows.slice();
          for (let from = 0; from < tokens[i]!.length; from += PIECE_TOKENS) {
            const to = Math.min(from + PIECE_TOKENS, tokens[i]!.length);
            const data = rows.subarray(from * hiddenSize, to * hiddenSize);
            const place = { cache: caches[index]!, first: slot, lengths: [lengths[slot]! + from] };
            const piece = await executable.extend({ data, windows: 1, tokens: to - from }, layerWeights, place);
            output.set(piece, from * hiddenSize);
          }
          hidden[i] = output;
        }
      });
      const last = new Float64Array(slots.length * hiddenSize);
      for (const [i, slot] of slots.entries()) {
        last.set(hidden[i]!.subarray(-hiddenSize), i * hiddenSize);
        lengths[slot]! += tokens[i]!.length;
      }
      return logitsOf(engine.precision === "float64" ? last : Float32Array.from(last), slots.length);
    },
    async step(tokens) {
      let hidden: FloatArray = await weights.embed(tokens);
      const past = lengths.slice(0, tokens.length);
      let spare: FloatArray | undefined;
      await eachLayer(async (layerWeights, index) => {
        const executable = await engine.compile(model.layers[index]!.program);
        const place = { cache: caches[index]!, first: 0, lengths: past };
        const rows = { data: hidden, windows: tokens.length, tokens: 1 };
        const output = await executable.extend(rows, layerWeights, place, spare);
        spare = hidden;
        hidden = output;
      });
      for (let slot = 0; slot < tokens.length; slot++) lengths[slot]!++;
      return logitsOf(hidden, tokens.length);
    },
    copy(from, to, tokens) {
      for (const cache of caches) copySequence(cache, from, to, tokens);
      lengths[to] = tokens;
    },
    clear(slot) {
      lengths[slot] = 0;
    },
  };
}
