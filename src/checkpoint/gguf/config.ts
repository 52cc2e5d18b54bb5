import { InputError } from "../../errors.js";
import type { GgufArchitecture } from "./architecture.js";
import type { HeadSizes } from "./layout.js";
import type { Metadata } from "./metadata.js";
import { type RotaryFactors, rotaryScaling } from "./rope.js";

/** What the tensors say that the metadata do not. */
export interface TensorFacts {
  readonly has: (name: string) => boolean;
  /** Rows of the embeddings. */
  readonly vocabularySize: number;
  readonly rotaryFactors: RotaryFactors;
}

/** Keys of every architecture that say nothing about the computation. */
const IGNORED = ["vocab_size", "tensor_data_layout", "rope.scaling.finetuned"];

/** The heads of a model's attention. Throws InputError where they do not fit. */
export function headSizes(metadata: Metadata, path: string): HeadSizes {
  const heads = metadata.number("attention.head_count");
  const keyValueHeads = metadata.optionalNumber("attention.head_count_kv") ?? heads;
  const hidden = metadata.number("embedding_length");
  const headSize = metadata.optionalNumber("attention.key_length") ?? hidden / heads;
  const values = metadata.optionalNumber("attention.value_length") ?? headSize;
  if (values !== headSize) {
    throw new InputError(`${path}: its values' heads have another size than its keys', which is not supported`);
  }
  for (const size of [heads, keyValueHeads, headSize]) {
    if (Number.isSafeInteger(size) && size > 0) continue;
    throw new InputError(`${path}: its metadata give heads of impossible sizes; convert the model again`);
  }
  return { heads, keyValueHeads, headSize };
}

/** config.json as transformers would have it (in the spelling of its version 4, which version 5 reads too). Throws InputError. */
export function makeConfig(
  architecture: GgufArchitecture,
  metadata: Metadata,
  sizes: HeadSizes,
  facts: TensorFacts,
  path: string,
): Record<string, unknown> {
  metadata.ignore(...IGNORED);
  const config: Record<string, unknown> = {
    architectures: [architecture.className],
    model_type: architecture.modelType,
    vocab_size: facts.vocabularySize,
    tie_word_embeddings: !facts.has("output.weight"),
  };
  for (const [key, name] of architecture.keys) {
    config[name] = key === "attention.head_count_kv" ? sizes.keyValueHeads : metadata.number(key);
  }
  const hidden = metadata.number("embedding_length");
  if (architecture.headDim) config["head_dim"] = sizes.headSize;
  else if (sizes.headSize * sizes.heads !== hidden) {
    throw new InputError(`${path}: heads of size ${sizes.headSize} are not supported in "${architecture.name}"`);
  }
  if (architecture.rope) Object.assign(config, rotation(architecture.rope, metadata, sizes, facts, path));
  Object.assign(config, architecture.fixed, architecture.derived?.({ metadata, has: facts.has }));
  // Converters write the one that is not used too, of models that call theirs norm_eps.
  metadata.ignore("attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon");
  metadata.checkAllRead();
  return config;
}

function rotation(
  names: NonNullable<GgufArchitecture["rope"]>,
  metadata: Metadata,
  { headSize }: HeadSizes,
  facts: TensorFacts,
  path: string,
): Record<string, unknown> {
  const theta = metadata.optionalNumber("rope.freq_base") ?? 10_000;
  const rotated = metadata.optionalNumber("rope.dimension_count") ?? headSize;
  if (names.share === undefined && rotated !== headSize) {
    throw new InputError(`${path}: rotates ${rotated} of a head's ${headSize} dimensions, which its family does not`);
  }
  const scaling = rotaryScaling(metadata, { theta, rotated }, facts.rotaryFactors, path);
  return {
    [names.theta]: theta,
    ...(names.share === undefined ? {} : { [names.share]: rotated / headSize }),
    ...(scaling ? { rope_scaling: scaling.parameters } : {}),
    ...(scaling?.original === undefined ? {} : { original_max_position_embeddings: scaling.original }),
  };
}
