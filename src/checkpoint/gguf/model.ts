import type { FileHandle } from "node:fs/promises";
import { InputError } from "../../errors.js";
import type { FloatDType } from "../../tensor/dtype.js";
import { readExactly } from "../folder.js";
import { quote } from "../json.js";
import { findArchitecture } from "./architectures.js";
import { headSizes, makeConfig } from "./config.js";
import { dequantize } from "./dequantize.js";
import type { GgufHeader } from "./header.js";
import { createMetadata } from "./metadata.js";
import type { RotaryFactors } from "./rope.js";
import { specialIds } from "./special-ids.js";
import { checkType, makeViews, ROTARY_TENSORS, type View } from "./views.js";

/** A GGUF file as the model that it was made of. */
export interface GgufModel {
  /** config.json. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly views: ReadonlyMap<string, View>;
  /** What each tensor is written as in a Hugging Face folder. */
  readonly dtypeOf: (view: View) => FloatDType;
}

/** More frequencies than any head has. */
const MAX_ROTARY_FACTORS = 65_536;

/** Finds the architecture of a file and says all of it in Hugging Face's terms. Throws InputError. */
export async function describeGguf(handle: FileHandle, header: GgufHeader, path: string): Promise<GgufModel> {
  return describeModel(header, await readRotaryFactors(handle, header, path), path);
}

/** The same of a header alone. */
export function describeModel(header: GgufHeader, rotaryFactors: RotaryFactors, path: string): GgufModel {
  const { metadata: values, tensors } = header;
  const name = values.get("general.architecture");
  if (typeof name !== "string") {
    throw new InputError(`${path}: has no metadata "general.architecture"; convert the model again`);
  }
  checkWhole(header, path);
  const metadata = createMetadata(values, name, path);
  const architecture = findArchitecture(name, metadata.optionalNumber("expert_count") ?? 0, path);
  metadata.ignore("expert_used_count"); // of models without experts too
  const embeddings = tensors.find((tensor) => tensor.name === "token_embd.weight");
  if (!embeddings) {
    throw new InputError(`${path}: has no tensor "token_embd.weight": a vocabulary without a model, or a part of one`);
  }
  const sizes = headSizes(metadata, path);
  const views = makeViews(architecture, tensors, sizes, path);
  const config = makeConfig(
    architecture,
    metadata,
    sizes,
    {
      has: (tensor) => tensors.some((one) => one.name === tensor),
      vocabularySize: embeddings.shape[0]!,
      rotaryFactors,
    },
    path,
  );
  const dtypeOf = ({ tensor: { type } }: View): FloatDType =>
    type === "F32" || type === "F16" || type === "BF16" ? type : (architecture.half ?? "F16");
  const torchDtype = TORCH_NAMES[commonest([...views.values()], dtypeOf)];
  return { config: { ...config, ...specialIds(values, path), torch_dtype: torchDtype }, views, dtypeOf };
}

const TORCH_NAMES: Readonly<Record<FloatDType, string>> = { F32: "float32", F16: "float16", BF16: "bfloat16" };

/** What most of the weights are written as. */
function commonest(views: readonly View[], dtypeOf: (view: View) => FloatDType): FloatDType {
  const counts: Record<FloatDType, number> = { F32: 0, F16: 0, BF16: 0 };
  for (const view of views) counts[dtypeOf(view)] += view.shape.reduce((product, size) => product * size, 1);
  return (["F16", "BF16", "F32"] as const).reduce((best, dtype) => (counts[dtype] > counts[best] ? dtype : best));
}

/** Throws InputError for one part of a split model, and for what belongs to a model without being one. */
function checkWhole({ metadata }: GgufHeader, path: string): void {
  const parts = metadata.get("split.count");
  if (typeof parts === "number" && parts > 1) {
    throw new InputError(
      `${path}: is one of ${parts} parts of a model; put them together with llama-gguf-split --merge`,
    );
  }
  const kind = metadata.get("general.type") ?? "model";
  if (kind !== "model") {
    throw new InputError(
      `${path}: is of the type ${quote(String(kind))} and no whole model; give the model's own file`,
    );
  }
}

async function readRotaryFactors(handle: FileHandle, { tensors }: GgufHeader, path: string): Promise<RotaryFactors> {
  const factors: { all?: Float32Array; short?: Float32Array; long?: Float32Array } = {};
  for (const which of ["all", "short", "long"] as const) {
    const tensor = tensors.find(({ name }) => name === ROTARY_TENSORS[which]);
    if (!tensor) continue;
    const { type } = checkType(tensor, `${path}: tensor ${quote(tensor.name)}`);
    const [count = 0, ...rest] = tensor.shape;
    if (rest.length > 0 || count > MAX_ROTARY_FACTORS) {
      throw new InputError(`${path}: tensor ${quote(tensor.name)} is no list of rope factors; convert the model again`);
    }
    const bytes = new Uint8Array(tensor.end - tensor.begin);
    await readExactly(handle, bytes, tensor.begin, path);
    const values = new Float32Array(count);
    dequantize(bytes, type, values);
    if (!values.every((value) => value > 0 && Number.isFinite(value))) {
      throw new InputError(
        `${path}: tensor ${quote(tensor.name)} has factors that are no positive numbers; convert it again`,
      );
    }
    factors[which] = values;
  }
  return factors;
}
