import type { Builder, Program } from "../engine/operations.js";
import type { Storage } from "./storage.js";

/** What a family makes of a config: the model's sizes and its computation, said once, for every engine. */
export interface Architecture {
  readonly hiddenSize: number;
  readonly layers: number;
  readonly vocabularySize: number;
  /** Longest window the model was made for, in tokens. */
  readonly maxTokens: number;
  /** Tensor of the token embeddings, [vocabulary, hidden]. */
  readonly embedding: string;
  /** Tensor of the head's weight, [vocabulary, hidden]. */
  readonly unembedding: string;
  /** Whether head and embeddings are one matrix, of which a checkpoint may store either name. */
  readonly tied: boolean;
  /** Tensor names of block parameters begin with this: `model.layers.3.`. */
  layerPrefix(layer: number): string;
  block(layer: number): Program;
  /** What happens to the embeddings before the first block. Its parameters have their tensors' full names. */
  readonly opening?: Opening | undefined;
  /** From the last block's output to the logits. Its parameters have their tensors' full names. */
  readonly head: Program;
  /** Parameters of the blocks that do not lie in tensors of their own name, [out, in]. */
  readonly storage?: Storage | undefined;
}

/** What happens to embeddings, [rows, hidden], before the first block. */
export interface Opening {
  /** Equal keys compute the same. */
  readonly key: string;
  build<V>(g: Builder<V>, x: V): V;
}

/** A family of models: which configs it reads, and what they compute. */
export interface Family {
  readonly name: string;
  /** config.json's model_type values. */
  readonly modelTypes: readonly string[];
  /** Some models of the family, for lists. */
  readonly models: string;
  /** Reads a config, in transformers' old or new spelling. Throws InputError that names the key. */
  architecture(config: unknown, where: string): Architecture;
}
