import { join } from "node:path";
import type { Checkpoint } from "../checkpoint/checkpoint.js";
import { describe } from "../engine/describe.js";
import type { Weights } from "../engine/engine.js";
import type { Program } from "../engine/operations.js";
import { InputError } from "../errors.js";
import { nearest } from "../text/nearest.js";
import { families } from "./families/registry.js";
import type { Architecture } from "./family.js";

/** A linear of a block whose weight a method may compress. */
export interface Site {
  /** Full name: `model.layers.3.self_attn.q_proj`. */
  readonly name: string;
  /** Name inside the block: `self_attn.q_proj`. */
  readonly local: string;
  /** Tensor in the checkpoint, [out, in]. */
  readonly tensor: string;
  readonly out: number;
  readonly in: number;
  /** Number of the linear input it reads; sites of a layer with equal numbers share their statistics. */
  readonly input: number;
}

export interface Layer {
  readonly index: number;
  readonly program: Program;
  readonly sites: readonly Site[];
}

/** A checkpoint with the computation that its config asks for. Weights are read when asked for, a layer at a time. */
export interface Model {
  readonly family: string;
  readonly architecture: Architecture;
  readonly checkpoint: Checkpoint;
  readonly layers: readonly Layer[];
  /** The token embeddings of ids, [ids.length, hidden]. Throws InputError for an id outside the vocabulary. */
  embed(ids: Int32Array): Promise<Float32Array>;
  layerWeights(layer: Layer): Promise<Map<string, Float32Array>>;
  /** The head's weights; those that equal the ones in `alike` are shared with it rather than held twice. */
  headWeights(alike?: Weights): Promise<Weights>;
}

/** Tensor name by parameter name. */
type Names = ReadonlyMap<string, string>;

/**
 * Finds the family of a checkpoint and checks that every tensor it needs is there in the right shape.
 * Throws InputError.
 */
export function openModel(checkpoint: Checkpoint): Model {
  const { family, architecture: a } = identify(checkpoint);
  const has = (name: string) => checkpoint.tensors.has(name);
  // A tied checkpoint may store the shared matrix under either name.
  const embedding = a.tied && !has(a.embedding) ? a.unembedding : a.embedding;
  const unembedding = a.tied ? embedding : a.unembedding;
  expectTensor(checkpoint, embedding, [a.vocabularySize, a.hiddenSize]);

  const layers: Layer[] = [];
  const names: Names[] = [];
  for (let index = 0; index < a.layers; index++) {
    const program = a.block(index);
    const prefix = a.layerPrefix(index);
    names.push(parameterNames(checkpoint, program, (name) => prefix + name));
    const sites = describe(program).linears.map(({ name, ...linear }) => ({
      name: prefix + name,
      local: name,
      tensor: `${prefix}${name}.weight`,
      out: linear.out,
      in: linear.in,
      input: linear.input,
    }));
    layers.push({ index, program, sites });
  }
  const headNames = parameterNames(checkpoint, a.head, (name) =>
    name === a.unembedding ? unembedding : a.headPrefix + name,
  );

  return {
    family,
    architecture: a,
    checkpoint,
    layers,
    embed: (ids) => checkpoint.readRows(embedding, ids),
    layerWeights: (layer) => readAll(checkpoint, names[layer.index]!),
    headWeights: (alike) => readAll(checkpoint, headNames, alike),
  };
}

function identify(checkpoint: Checkpoint): { family: string; architecture: Architecture } {
  const where = join(checkpoint.directory, "config.json");
  const type = checkpoint.config["model_type"];
  if (typeof type !== "string") {
    throw new InputError(`${where}: model_type is missing; it says which family of models this is`);
  }
  const family = families.find((candidate) => candidate.modelTypes.includes(type));
  if (!family) {
    const known = families.flatMap((candidate) => candidate.modelTypes);
    const close = nearest(type, known);
    const hint = close ? ` (did you mean ${close}?)` : "";
    throw new InputError(`${where}: model_type "${type}" is not supported${hint}; supported: ${known.join(", ")}`);
  }
  return { family: family.name, architecture: family.architecture(checkpoint.config, where) };
}

function parameterNames(checkpoint: Checkpoint, program: Program, tensor: (name: string) => string): Names {
  const { linears, vectors } = describe(program);
  const names = new Map<string, string>();
  const add = (name: string, shape: readonly number[]) => {
    names.set(name, tensor(name));
    expectTensor(checkpoint, tensor(name), shape);
  };
  for (const vector of vectors) add(`${vector.name}.weight`, [vector.size]);
  for (const linear of linears) {
    add(`${linear.name}.weight`, [linear.out, linear.in]);
    if (linear.bias) add(`${linear.name}.bias`, [linear.out]);
  }
  return names;
}

function expectTensor(checkpoint: Checkpoint, name: string, shape: readonly number[]): void {
  const found = checkpoint.tensors.get(name);
  if (!found) {
    throw new InputError(`${checkpoint.directory}: tensor ${name} is missing; config.json asks for it, as [${shape}]`);
  }
  if (found.shape.length !== shape.length || found.shape.some((size, i) => size !== shape[i])) {
    throw new InputError(
      `${join(checkpoint.directory, found.file)}: tensor ${name} is [${found.shape}], but config.json asks for [${shape}]`,
    );
  }
}

async function readAll(checkpoint: Checkpoint, names: Names, alike?: Weights): Promise<Map<string, Float32Array>> {
  const weights = new Map<string, Float32Array>();
  for (const [name, tensor] of names) {
    const known = alike?.get(name);
    const shared = known && (await holds(checkpoint, tensor, known));
    weights.set(name, shared ? known : await checkpoint.read(tensor));
  }
  return weights;
}

/** Rows that are compared at once. */
const COMPARED_ROWS = 1024;

/** Whether a matrix of the checkpoint has these very values; read a few rows at a time, so that it never lies there twice. */
async function holds(checkpoint: Checkpoint, tensor: string, values: Float32Array): Promise<boolean> {
  const [rows = 0, columns = 0] = checkpoint.tensors.get(tensor)!.shape;
  if (rows * columns !== values.length) return false;
  for (let row = 0; row < rows; row += COMPARED_ROWS) {
    const some = Int32Array.from({ length: Math.min(COMPARED_ROWS, rows - row) }, (_, i) => row + i);
    const part = await checkpoint.readRows(tensor, some);
    const from = row * columns;
    for (let i = 0; i < part.length; i++) if (part[i] !== values[from + i]) return false;
  }
  return true;
}
