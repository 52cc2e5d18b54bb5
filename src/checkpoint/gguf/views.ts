import { InputError } from "../../errors.js";
import { quote } from "../json.js";
import type { GgufArchitecture, TensorRule } from "./architecture.js";
import type { GgufTensor } from "./header.js";
import { type HeadSizes, rowOrder } from "./layout.js";
import { isReadType, READ_TYPES, type ReadType } from "./types.js";

/** A tensor of Hugging Face's layout, as GGUF has it. */
export interface View {
  readonly name: string;
  readonly shape: readonly number[];
  readonly tensor: GgufTensor & { readonly type: ReadType };
  /** Where its rows begin in the tensor: an expert's, of all experts'. */
  readonly firstRow: number;
  /** For each row here, the row there; as they stand where not given. */
  readonly order?: Uint32Array | undefined;
  readonly transposed: boolean;
  /** What values there have more than values here. */
  readonly added: number;
}

/** Tensors that hold factors for rotation, read with the metadata. */
export const ROTARY_TENSORS = {
  all: "rope_freqs.weight",
  short: "rope_factors_short.weight",
  long: "rope_factors_long.weight",
} as const;

/** Rotations by position, which older converters wrote and nobody reads. */
const UNUSED = /^blk\.\d+\.attn_rot_embd\.weight$/;

const NAME = /^(?:blk\.(\d+)\.)?([A-Za-z0-9_]+)\.(weight|bias)$/;

/**
 * Every tensor of the file under its name and in its shape in Hugging Face's layout. Throws InputError for a tensor that the
 * architecture does not have, or of a type that is not read: a model without it would be another one.
 */
export function makeViews(
  architecture: GgufArchitecture,
  tensors: readonly GgufTensor[],
  sizes: HeadSizes,
  path: string,
): Map<string, View> {
  const rotary: readonly string[] = Object.values(ROTARY_TENSORS);
  const names = new Set(tensors.map(({ name }) => name));
  const views = new Map<string, View>();
  for (const tensor of tensors) {
    if (rotary.includes(tensor.name) || UNUSED.test(tensor.name)) continue;
    for (const view of viewsOf(architecture, tensor, sizes, names, path)) {
      if (views.has(view.name)) {
        throw new InputError(
          `${path}: holds ${quote(view.name)} twice, once as ${quote(tensor.name)}; convert it again`,
        );
      }
      views.set(view.name, view);
    }
  }
  return views;
}

function viewsOf(
  architecture: GgufArchitecture,
  tensor: GgufTensor,
  sizes: HeadSizes,
  names: ReadonlySet<string>,
  path: string,
): View[] {
  const where = `${path}: tensor ${quote(tensor.name)}`;
  const [, block, local = "", kind] = NAME.exec(tensor.name) ?? [];
  const found = Object.hasOwn(architecture.tensors, local) ? architecture.tensors[local] : undefined;
  if (found === undefined) {
    throw new InputError(
      `${where} is not one that pare knows of "${architecture.name}", so that it cannot compute this model; ` +
        "use the model's safetensors files",
    );
  }
  const rule: TensorRule = typeof found === "string" ? { name: found } : found;
  const readable = checkType(tensor, where);
  const prefix = block === undefined ? "" : `${architecture.layers}.${block}.`;
  const { beside } = rule;
  const own = beside && names.has(`blk.${block}.${beside.tensor}.${kind}`) ? beside.name : rule.name;
  const name = `${prefix}${own}.${kind}`;
  const common = { tensor: readable, transposed: false, added: kind === "weight" ? (rule.added ?? 0) : 0 };
  if (rule.name.includes("*")) {
    const [experts = 0, ...shape] = tensor.shape;
    if (shape.length !== 2) throw new InputError(`${where} has not three dimensions; convert the model again`);
    return Array.from({ length: experts }, (_, expert) => ({
      ...common,
      name: name.replace("*", String(expert)),
      shape,
      firstRow: expert * shape[0]!,
    }));
  }
  const { shape } = tensor;
  if (shape.length > 2) throw new InputError(`${where} has ${shape.length} dimensions; convert the model again`);
  const order = rule.order && rowOrder(rule.order, shape[0]!, sizes);
  if (rule.order && !order)
    throw new InputError(`${where} has ${shape[0]} rows, which do not make up heads; convert it again`);
  const transposed = rule.transposed === true && shape.length === 2;
  return [{ ...common, name, shape: transposed ? shape.toReversed() : shape, firstRow: 0, order, transposed }];
}

/** Throws InputError for a type whose values are not read. */
export function checkType(tensor: GgufTensor, where: string): View["tensor"] {
  const { type } = tensor;
  if (isReadType(type)) return { ...tensor, type };
  throw new InputError(
    `${where} is stored as ${type}, which pare does not read (it reads ${READ_TYPES.join(", ")}); ` +
      "use another quantization of the model, or llama-quantize --allow-requantize",
  );
}
