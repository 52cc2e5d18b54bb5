import { InputError } from "../../errors.js";
import { nearest } from "../../text/nearest.js";
import { quote } from "../json.js";
import type { GgufArchitecture } from "./architecture.js";
import { layerNormArchitectures } from "./layer-norm-architectures.js";
import { rmsArchitectures } from "./rms-architectures.js";

/** Every architecture that pare reads. */
const architectures: readonly GgufArchitecture[] = [...rmsArchitectures, ...layerNormArchitectures];

/** The architecture of that name. Throws InputError naming the nearest one that is supported. */
export function findArchitecture(name: string, experts: number, path: string): GgufArchitecture {
  const named = architectures.filter((architecture) => architecture.name === name);
  const found = named.find((architecture) => (architecture.experts ?? false) === experts > 0);
  if (found) return found;
  const names = [...new Set(architectures.map((architecture) => architecture.name))];
  if (named.length > 0)
    throw new InputError(`${path}: architecture ${quote(name)} with ${experts} experts is not supported`);
  const like = nearest(name, names);
  throw new InputError(
    `${path}: architecture ${quote(name)} is not supported in GGUF${like === undefined ? "" : `; the nearest is "${like}"`} ` +
      `(supported: ${names.join(", ")})`,
  );
}

/** The architecture that a model of transformers is written as. Throws InputError. */
export function architectureOfModel(modelType: string, path: string): GgufArchitecture {
  const type = modelType === "mistral" ? "llama" : modelType;
  const found = architectures.find((architecture) => architecture.modelType === type);
  if (found) return found;
  throw new InputError(
    `${path}: a model of the type ${quote(modelType)} cannot be written as GGUF ` +
      `(those that can: mistral, ${architectures.map((architecture) => architecture.modelType).join(", ")})`,
  );
}
