import { join } from "node:path";
import { BUFFERS } from "../checkpoint/buffers.js";
import type { Checkpoint, TensorEntry } from "../checkpoint/checkpoint.js";
import { isObject, quote } from "../checkpoint/json.js";
import { describe } from "../engine/describe.js";
import type { Engine, Weight, Weights } from "../engine/engine.js";
import type { Program } from "../engine/operations.js";
import { InputError } from "../errors.js";
import { bytesOf } from "../tensor/matrix.js";
import { families } from "./families/registry.js";
import type { Architecture } from "./family.js";
import { nearestFamily } from "./nearest-family.js";
import { type StoredTensor, storedShape, takePart } from "./storage.js";

/** A linear of a block whose weight a method may compress. */
export interface Site {
  /** Full name: `model.layers.3.self_attn.q_proj`. */
  readonly name: string;
  /** Name inside the block: `self_attn.q_proj`. */
  readonly local: string;
  /** Where it lies in the checkpoint. */
  readonly stored: StoredTensor;
  readonly out: number;
  readonly in: number;
  /** Number of the linear input it reads; sites of a layer with equal numbers share their statistics. */
  readonly input: number;
  /** Whether it belongs to an expert, which sees only some of the tokens. */
  readonly expert: boolean;
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
  /** Tensors that it computes with and no method compresses: embeddings, norms, biases, the head. */
  readonly others: readonly string[];
  /** A tensor of a layer that config.json does not count, if there is one: nobody computes with it. */
  readonly uncounted: string | undefined;
  /** Tensors that it does not compute with, those among them. */
  readonly unknown: readonly string[];
  /** The token embeddings of ids, [ids.length, hidden]. Throws InputError for an id outside the vocabulary. */
  embed(ids: Int32Array): Promise<Float32Array>;
  /**
   * A layer's weights for an engine: in bfloat16 as they are stored, where it takes them so; in the memory of `old`, weights of
   * another layer that are not used any more.
   */
  layerWeights(engine: Taker, layer: Layer, old?: Weights): Promise<Weights>;
  /** A site's weight, [out, in]. */
  siteWeight(site: Site): Promise<Float32Array>;
  /** The head's weights, for an engine likewise; those that equal the ones in `alike` are shared with it rather than held twice. */
  headWeights(engine: Taker, alike?: Weights): Promise<Weights>;
}

type Taker = Pick<Engine, "takesBfloat16">;

/** Where a parameter lies, its shape, and whether it is a linear's weight. */
interface Parameter {
  readonly stored: StoredTensor;
  readonly shape: readonly number[];
  readonly isWeight: boolean;
}

/** By their names. */
type Parameters = ReadonlyMap<string, Parameter>;

/**
 * Finds the family of a checkpoint and checks that every tensor it needs is there in the right shape.
 * Throws InputError.
 */
export function openModel(checkpoint: Checkpoint): Model {
  const { family, architecture: a } = identify(checkpoint);
  const tensor = tensorNames(checkpoint, a);
  const has = (name: string) => checkpoint.tensors.has(tensor(name));
  // A tied checkpoint may store the shared matrix under either name.
  const embedding = a.tied && !has(a.embedding) ? a.unembedding : a.embedding;
  const unembedding = a.tied ? embedding : a.unembedding;
  expectTensor(checkpoint, tensor(embedding), [a.vocabularySize, a.hiddenSize]);

  const layers: Layer[] = [];
  const parameters: Parameters[] = [];
  for (let index = 0; index < a.layers; index++) {
    const prefix = a.layerPrefix(index);
    const { program, outside } = layerProgram(a, index);
    const stored = (name: string): StoredTensor => {
      if (outside.has(name)) return { tensor: tensor(name) };
      const { linear, kind } = splitName(name);
      const { name: holder = linear, part, transposed } = a.storage?.[linear] ?? {};
      return { tensor: tensor(`${prefix}${holder}.${kind}`), part, transposed: transposed && kind === "weight" };
    };
    parameters.push(findParameters(checkpoint, program, stored));
    const { linears, inputs } = describe(program);
    const sites = linears
      .filter(({ name }) => !outside.has(`${name}.weight`))
      .map(({ name, ...linear }) => ({
        name: prefix + name,
        local: name,
        stored: stored(`${name}.weight`),
        out: linear.out,
        in: linear.in,
        input: linear.input,
        expert: inputs[linear.input]!.gathered,
      }));
    layers.push({ index, program, sites });
  }
  const head = findParameters(checkpoint, a.head, (name) => ({
    tensor: tensor(name === a.unembedding ? unembedding : name),
  }));

  const compressed = new Set(layers.flatMap(({ sites }) => sites.map((site) => site.stored.tensor)));
  const used = [...parameters, head].flatMap((some) => Array.from(some.values(), ({ stored }) => stored.tensor));
  const beyond = tensor(a.layerPrefix(a.layers));
  const known = new Set([tensor(embedding), ...used, ...(a.tied ? [tensor(a.embedding), tensor(a.unembedding)] : [])]);

  return {
    family,
    architecture: a,
    checkpoint,
    layers,
    others: [...new Set([tensor(embedding), ...used])].filter((name) => !compressed.has(name)),
    uncounted: [...checkpoint.tensors.keys()].find((name) => name.startsWith(beyond)),
    unknown: [...checkpoint.tensors.keys()].filter((name) => !known.has(name) && !BUFFERS.test(name)),
    embed: (ids) => checkpoint.readRows(tensor(embedding), ids),
    layerWeights: (engine, layer, old) => readAllFor(engine, checkpoint, parameters[layer.index]!, old),
    siteWeight: async ({ stored, out, in: columns }) =>
      takePart(stored, await checkpoint.read(stored.tensor), [out, columns]),
    headWeights: async (engine, alike) => shared(await readAllFor(engine, checkpoint, head), alike),
  };
}

/** Names of tensors as a checkpoint has them: some store the blocks without what the whole model adds before their names. */
function tensorNames({ tensors }: Checkpoint, { embedding }: Architecture): (name: string) => string {
  const base = embedding.slice(0, embedding.indexOf(".") + 1); // `model.`
  if (tensors.has(embedding) || !tensors.has(embedding.slice(base.length))) return (name) => name;
  return (name) => (name.startsWith(base) ? name.slice(base.length) : name);
}

/** A layer's block, the first with what comes before it; the parameters of that lie outside the layers. */
function layerProgram({ block, opening }: Architecture, index: number): { program: Program; outside: Set<string> } {
  const program = block(index);
  if (index > 0 || !opening) return { program, outside: new Set() };
  const before: Program = { ...opening, columns: { in: program.columns.in, out: program.columns.in } };
  return {
    program: {
      key: `${opening.key} ${program.key}`,
      columns: program.columns,
      build: (g, x) => program.build(g, before.build(g, x)),
    },
    outside: new Set(describe(before).parameters.keys()),
  };
}

function splitName(name: string): { linear: string; kind: string } {
  const dot = name.lastIndexOf(".");
  return { linear: name.slice(0, dot), kind: name.slice(dot + 1) };
}

function identify(checkpoint: Checkpoint): { family: string; architecture: Architecture } {
  const where = checkpoint.configFile;
  const type = checkpoint.config["model_type"];
  if (typeof type !== "string") {
    throw new InputError(`${where}: model_type is missing; it says which family of models this is`);
  }
  const family = families.find((candidate) => candidate.modelTypes.includes(type));
  if (!family)
    throw new InputError(`${where}: model_type "${type}" is not supported${nearestFamily(checkpoint, type)}`);
  return { family: family.name, architecture: family.architecture(checkpoint.config, where) };
}

function findParameters(
  checkpoint: Checkpoint,
  program: Program,
  storedAs: (name: string) => StoredTensor,
): Parameters {
  const parameters = new Map<string, Parameter>();
  const described = describe(program);
  const weights = new Set(described.linears.map(({ name }) => `${name}.weight`));
  for (const [name, shape] of described.parameters) {
    const stored = storedAs(name);
    parameters.set(name, { stored, shape, isWeight: weights.has(name) });
    expectTensor(checkpoint, stored.tensor, storedShape(stored, shape));
  }
  return parameters;
}

function expectTensor(checkpoint: Checkpoint, name: string, shape: readonly number[]): void {
  const found = checkpoint.tensors.get(name);
  if (!found) {
    const { quantization_config: quantization } = checkpoint.config;
    const by = isObject(quantization) ? quantization["quant_method"] : undefined;
    if (typeof by === "string") {
      throw new InputError(
        `${checkpoint.path}: is quantized by ${quote(by)}, which pare does not read (tensor ${name} is missing); use the model's float weights`,
      );
    }
    throw new InputError(`${checkpoint.path}: tensor ${name} is missing; config.json asks for it, as [${shape}]`);
  }
  if (found.shape.length !== shape.length || found.shape.some((size, i) => size !== shape[i])) {
    throw new InputError(
      `${fileOf(checkpoint, found)}: tensor ${name} is [${found.shape}], but config.json asks for [${shape}]`,
    );
  }
}

function fileOf({ path, directory }: Checkpoint, { file }: TensorEntry): string {
  return path === directory ? join(directory, file) : path;
}

async function readAllFor(
  { takesBfloat16 }: Taker,
  checkpoint: Checkpoint,
  parameters: Parameters,
  old?: Weights,
): Promise<Map<string, Weight>> {
  const weights = new Map<string, Weight>();
  const others = new Map(parameters);
  for (const [name, { stored, isWeight }] of takesBfloat16 ? parameters : []) {
    if (!isWeight || stored.part || stored.transposed) continue;
    const weight = await checkpoint.readBfloat16(stored.tensor, old?.get(name));
    if (!weight) continue;
    weights.set(name, weight);
    others.delete(name);
  }
  for (const [name, weight] of await readAll(checkpoint, others, old)) weights.set(name, weight);
  return weights;
}

async function readAll(
  checkpoint: Checkpoint,
  parameters: Parameters,
  old?: Weights,
): Promise<Map<string, Float32Array>> {
  const weights = new Map<string, Float32Array>();
  const fused = new Map<string, Float32Array>(); // each is read once
  for (const [name, { stored, shape }] of parameters) {
    const values =
      fused.get(stored.tensor) ?? (await checkpoint.read(stored.tensor, stored.part ? undefined : old?.get(name)));
    if (stored.part) fused.set(stored.tensor, values);
    weights.set(name, takePart(stored, values, shape));
  }
  return weights;
}

/** The weights, with the arrays of `alike` in place of those that are equal to them. */
function shared(weights: Weights, alike: Weights = new Map()): Weights {
  return new Map(
    Array.from(weights, ([name, weight]) => {
      const other = alike.get(name);
      const isAlike =
        other?.constructor === weight.constructor && Buffer.compare(bytesOf(other), bytesOf(weight)) === 0;
      return [name, isAlike ? other : weight];
    }),
  );
}
