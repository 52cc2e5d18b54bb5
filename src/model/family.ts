import type { Program } from "../engine/operations.js";

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
  /** Tensor names of the head's other parameters begin with this. */
  readonly headPrefix: string;
  block(layer: number): Program;
  readonly head: Program;
}

/** A family of models: which configs it reads, and what they compute. */
export interface Family {
  readonly name: string;
  /** config.json's model_type values. */
  readonly modelTypes: readonly string[];
  /** Reads a config, in transformers' old or new spelling. Throws InputError that names the key. */
  architecture(config: unknown, where: string): Architecture;
}
