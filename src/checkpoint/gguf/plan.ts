import { InputError } from "../../errors.js";
import { BUFFERS } from "../buffers.js";
import type { Checkpoint } from "../checkpoint.js";
import { quote } from "../json.js";
import type { GgufArchitecture, TensorRule } from "./architecture.js";
import { architectureOfModel } from "./architectures.js";
import { float32, type Typed, uint32 } from "./encode.js";
import type { GgufTensor } from "./header.js";
import { type HeadSizes, rowOrder } from "./layout.js";
import type { WrittenType } from "./output.js";
import { findRotation, type Rotation } from "./rotation.js";
import { tensorType, typeId } from "./types.js";

/** A tensor of a GGUF file to be, and what it is made of. */
export interface PlannedTensor {
  readonly name: string;
  /** The slowest dimension first. */
  readonly shape: readonly number[];
  readonly type: WrittenType;
  readonly bytes: number;
  /** Its values in GGUF's order, some whole rows at a time. */
  values(): AsyncIterable<Float32Array>;
}

/** A GGUF file to be. */
export interface GgufPlan {
  readonly architecture: GgufArchitecture;
  readonly metadata: ReadonlyMap<string, Typed>;
  readonly tensors: readonly PlannedTensor[];
  readonly rotation: Rotation;
}

/** Numbers that are no whole ones, whatever their value. */
const FRACTIONS = /epsilon|softcapping|scale|freq_base|factor|beta/;

/** Of these llama.cpp computes no sliding window. */
const WITHOUT_WINDOWS = ["mistral", "mixtral", "starcoder2"];

/** A config as GGUF can say it: as far as a sliding window reaches, where there is no word for the window itself. */
export function withoutWindow(config: Checkpoint["config"]): Checkpoint["config"] {
  const { model_type: type, sliding_window: window, max_position_embeddings: context } = config;
  if (!WITHOUT_WINDOWS.includes(String(type)) || typeof window !== "number") return config;
  const whole = typeof context === "number" ? context : window;
  return { ...config, sliding_window: null, max_position_embeddings: Math.min(window, whole) };
}

/** What a model is as GGUF: its sizes as metadata, its tensors by their names there. Throws InputError for what cannot be said. */
export function planGguf(base: Checkpoint, type: WrittenType): GgufPlan {
  const { path, configFile } = base;
  const config = withoutWindow(base.config);
  const architecture = architectureOfModel(String(config["model_type"]), path);
  const metadata = new Map<string, Typed>();
  const set = (key: string, value: unknown): void => {
    const full = `${architecture.name}.${key}`;
    if (typeof value === "boolean") metadata.set(full, { type: "bool", value });
    else if (typeof value === "number") metadata.set(full, FRACTIONS.test(key) ? float32(value) : uint32(value));
    else
      throw new InputError(
        `${configFile}: ${key} cannot be told GGUF: its value is ${quote(JSON.stringify(value) ?? "missing")}`,
      );
  };
  const sizes = sizesOf(base, architecture);
  for (const [key, name] of architecture.keys) {
    const value =
      key === "attention.head_count_kv" ? sizes.keyValueHeads : (configValue(config, name) ?? defaultOf(key, config));
    set(key, value);
  }
  for (const [key, name] of architecture.extra ?? []) {
    if (config[name] !== undefined && config[name] !== null) set(key, config[name]);
  }
  if (architecture.headDim) {
    set("attention.key_length", sizes.headSize);
    set("attention.value_length", sizes.headSize);
  }
  set("vocab_size", config["vocab_size"]);
  const rotation = architecture.rope ? findRotation(base, architecture, sizes.headSize) : { entries: [], factors: {} };
  for (const [key, value] of rotation.entries) {
    metadata.set(
      `${architecture.name}.${key}`,
      typeof value === "string" ? { type: "string", value } : FRACTIONS.test(key) ? float32(value) : uint32(value),
    );
  }
  const tensors = [...planTensors(base, architecture, sizes, type), ...rotaryTensors(rotation)];
  return { architecture, metadata, tensors, rotation };
}

/** The header that the file will have, for reading it back. */
export function plannedHeader({ architecture, metadata, tensors }: GgufPlan) {
  const values = [...metadata].map(
    ([key, { value }]) => [key, typeof value === "number" ? Math.fround(value) : value] as const,
  );
  const placed: GgufTensor[] = tensors.map(({ name, shape, type, bytes }) => ({
    name,
    shape,
    type: type.toUpperCase(),
    begin: 0,
    end: bytes,
  }));
  return { metadata: new Map([["general.architecture", architecture.name] as const, ...values]), tensors: placed };
}

function sizesOf({ config, configFile }: Checkpoint, { keys, modelType }: GgufArchitecture): HeadSizes {
  const nameOf = (gguf: string) => keys.find(([key]) => key === gguf)?.[1] ?? gguf;
  const number = (gguf: string): number => {
    const value = configValue(config, nameOf(gguf));
    if (typeof value === "number" && Number.isSafeInteger(value) && value > 0) return value;
    throw new InputError(`${configFile}: ${nameOf(gguf)} is missing or no whole number`);
  };
  const heads = number("attention.head_count");
  const given = config[nameOf("attention.head_count_kv")];
  const isMultiQuery =
    modelType === "falcon" && config["multi_query"] !== false && config["new_decoder_architecture"] !== true;
  const head = config["head_dim"];
  return {
    heads,
    keyValueHeads: isMultiQuery ? 1 : typeof given === "number" ? given : heads,
    headSize: typeof head === "number" ? head : number("embedding_length") / heads,
  };
}

/** The names that GPT-2's config.json and its relatives' have for what others call otherwise. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  n_embd: "hidden_size",
  hidden_size: "n_embed",
  n_layer: "num_hidden_layers",
  n_head: "num_attention_heads",
  n_positions: "max_position_embeddings",
};

function configValue(config: Checkpoint["config"], name: string): unknown {
  return config[name] ?? config[OTHER_NAMES[name] ?? name];
}

/** What configs may leave out, since transformers has the same default for all of them. */
function defaultOf(key: string, config: Readonly<Record<string, unknown>>): unknown {
  if (key === "context_length") return 2048; // of models without a limit of their own
  const hidden = configValue(config, "n_embd") ?? configValue(config, "hidden_size");
  return key === "feed_forward_length" && typeof hidden === "number" ? 4 * hidden : undefined;
}

function planTensors(
  base: Checkpoint,
  architecture: GgufArchitecture,
  sizes: HeadSizes,
  type: WrittenType,
): PlannedTensor[] {
  const names = namesInGguf(architecture);
  const [embedding, head] = (["token_embd", "output"] as const).map(
    (local) => `${architecture.tensors[local]}.weight`,
  ) as [string, string];
  const parts = new Map<string, { rule: TensorRule; local: string; sources: string[] }>();
  for (const name of base.tensors.keys()) {
    if (BUFFERS.test(name)) continue;
    const isTied = name === head && base.config["tie_word_embeddings"] === true;
    if (isTied && base.tensors.has(embedding)) continue;
    const found = names(isTied ? embedding : name);
    if (!found)
      throw new InputError(`${base.path}: tensor ${quote(name)} has no name in GGUF's "${architecture.name}"`);
    const part = parts.get(found.name) ?? { ...found, sources: [] };
    part.sources[found.expert] = name;
    parts.set(found.name, part);
  }
  const blockOf = (name: string) => Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? -1);
  const sorted = [...parts].sort(([a], [b]) => blockOf(a) - blockOf(b));
  return sorted.map(([name, { rule, local, sources }]) => {
    const [first = ""] = sources;
    const stored = base.tensors.get(first)!.shape;
    const transposed = rule.transposed === true && stored.length === 2;
    const one = transposed ? stored.toReversed() : stored;
    const isWeight = name.endsWith(".weight");
    const order = rule.order && rowOrder(rule.order, one[0]!, sizes);
    if (rule.order && !order)
      throw new InputError(`${base.path}: tensor ${quote(first)} does not consist of whole heads`);
    const added = isWeight ? (rule.added ?? 0) : 0;
    const shape = rule.name.includes("*") ? [sources.length, ...one] : one;
    return planned(name, shape, typeFor(local, shape, type), async function* () {
      for (const source of sources) yield* arranged(base, source, { order, transposed, added });
    });
  });
}

/** What is written as float32 whatever was asked for, as llama.cpp's converter does: vectors, norms, positions, routers. */
function typeFor(local: string, shape: readonly number[], type: WrittenType): WrittenType {
  if (shape.length === 1 || /norm$|^position_embd$|^ffn_gate_inp$/.test(local)) return "f32";
  const isQuantized = type === "q8_0" || type === "q4_0";
  if (isQuantized && shape.at(-1)! % 32 !== 0) return "f16"; // rows of no whole blocks
  return type === "q4_0" && (local === "token_embd" || local === "output") ? "q8_0" : type;
}

function planned(
  name: string,
  shape: readonly number[],
  type: WrittenType,
  values: PlannedTensor["values"],
): PlannedTensor {
  const block = tensorType(typeId(type))!;
  const count = shape.reduce((product, size) => product * size, 1);
  return { name, shape, type, bytes: (count / block.values) * block.bytes, values };
}

function rotaryTensors({ factors }: Rotation): PlannedTensor[] {
  return Object.entries(factors).map(([name, values]) =>
    planned(name, [values.length], "f32", async function* () {
      yield Float32Array.from(values);
    }),
  );
}

/** The inverse of an architecture's table: where a tensor of Hugging Face's goes. */
function namesInGguf({ tensors, layers }: GgufArchitecture) {
  const rules = Object.entries(tensors).flatMap(([local, found]) => {
    const rule: TensorRule = typeof found === "string" ? { name: found } : found;
    const names = rule.beside ? [rule.name, rule.beside.name] : [rule.name];
    return names.map((name) => ({ local, rule, pattern: patternOf(name) }));
  });
  const blocks = `${layers}.`;
  return (full: string): { name: string; local: string; rule: TensorRule; expert: number } | undefined => {
    const [, block, rest] = full.startsWith(blocks) ? (/^(\d+)\.(.+)$/.exec(full.slice(blocks.length)) ?? []) : [];
    const name = rest ?? full;
    const dot = name.lastIndexOf(".");
    for (const { local, rule, pattern } of rules) {
      const match = pattern.exec(name.slice(0, dot));
      if (!match) continue;
      const prefix = block === undefined ? "" : `blk.${block}.`;
      return { name: `${prefix}${local}${name.slice(dot)}`, local, rule, expert: Number(match[1] ?? 0) };
    }
    return undefined;
  };
}

function patternOf(name: string): RegExp {
  return new RegExp(`^${name.replace(/[.]/g, "\\.").replace("*", "(\\d+)")}$`);
}

interface Arrangement {
  /** Where in GGUF each row lies. */
  readonly order: Uint32Array | undefined;
  readonly transposed: boolean;
  readonly added: number;
}

/** Values that are read at once. */
const READ_VALUES = 2 ** 20;

/** Values of a tensor as GGUF has them, [out, in], some rows at a time; transposed ones all at once. */
async function* arranged(
  base: Checkpoint,
  name: string,
  { order, transposed, added }: Arrangement,
): AsyncGenerator<Float32Array> {
  const plus = (values: Float32Array) => (added === 0 ? values : values.map((value) => value + added));
  const { shape } = base.tensors.get(name)!;
  const [rows = 1, columns = 1] = shape;
  if (transposed) {
    yield plus(transpose(await base.read(name), rows, columns));
    return;
  }
  if (shape.length !== 2) {
    const values = await base.read(name);
    yield plus(order ? permuted(values, order) : values);
    return;
  }
  const sources = new Int32Array(rows);
  for (let row = 0; row < rows; row++) sources[order ? order[row]! : row] = row;
  const step = Math.max(1, Math.floor(READ_VALUES / columns));
  for (let from = 0; from < rows; from += step) {
    yield plus(await base.readRows(name, sources.subarray(from, from + step)));
  }
}

function permuted(values: Float32Array, order: Uint32Array): Float32Array {
  const result = new Float32Array(values.length);
  for (const [from, to] of order.entries()) result[to] = values[from]!;
  return result;
}

/** [columns, rows] of [rows, columns]. */
function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) result[column * rows + row] = values[row * columns + column]!;
  }
  return result;
}
