import { InputError } from "../../errors.js";
import { isObject, quote } from "../json.js";

const METHOD = "compressed-tensors";
const FORMAT = "sparse-bitmask";
/** Of compressed-tensors, whose layout this is; 0.15 and later know no sparsity. */
const VERSION = "0.12.2";

/** The endings of the names of a weight's parts, in place of `.weight`. */
export const PARTS = ["compressed", "bitmask", "shape", "row_offsets"] as const;
export type Part = (typeof PARTS)[number];

/** What TensorEntry.storedAs ends in for such a weight. */
export const STORED_AS = "bitmask";

/** What config.json has to say for compressed-tensors to find the weights of these modules; `sparsity` is their share of zeros. */
export function bitmaskConfig(modules: readonly string[], sparsity: number): Readonly<Record<string, unknown>> {
  return {
    quant_method: METHOD,
    version: VERSION,
    sparsity_config: {
      format: FORMAT,
      global_sparsity: sparsity,
      ignore: [],
      registry_requires_subclass: false,
      sparsity_structure: "unstructured",
      targets: modules.toSorted(),
    },
    transform_config: {},
  };
}

/**
 * The config without what says that weights are stored as bitmasks; undefined where it says nothing of the kind. Throws
 * InputError where they are quantized too.
 */
export function withoutBitmask(
  config: Readonly<Record<string, unknown>>,
  path: string,
): Readonly<Record<string, unknown>> | undefined {
  const { quantization_config: quantization, ...rest } = config;
  if (!isObject(quantization)) return undefined;
  const { sparsity_config: sparsity, quant_method: method, version: _version, ...more } = quantization;
  if (!isObject(sparsity) || sparsity["format"] !== FORMAT) return undefined;
  const others = Object.entries(more).filter(([, value]) => !isObject(value) || Object.keys(value).length > 0);
  if (method !== METHOD || others.length > 0) {
    const key = method !== METHOD ? "quant_method" : others[0]![0];
    throw new InputError(
      `${path}: quantization_config.${quote(key)}: only sparse weights that are not quantized are read`,
    );
  }
  return rest;
}
