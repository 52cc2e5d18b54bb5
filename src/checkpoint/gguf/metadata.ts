import { InputError } from "../../errors.js";
import { quote } from "../json.js";
import type { GgufValue } from "./header.js";

/** A file's metadata, read by key; every key of the architecture that nobody asked for is refused at the end. */
export interface Metadata {
  /** Of the architecture: `attention.head_count` is `llama.attention.head_count`. Throws InputError where it is missing or no number. */
  number(key: string): number;
  optionalNumber(key: string): number | undefined;
  optionalFlag(key: string): boolean | undefined;
  optionalText(key: string): string | undefined;
  /** Marks keys of the architecture that change nothing in what is computed. */
  ignore(...keys: string[]): void;
  /** Throws InputError for a key of the architecture that was not asked for: it may change what the model computes. */
  checkAllRead(): void;
}

/** `prefix` is general.architecture. */
export function createMetadata(values: ReadonlyMap<string, GgufValue>, prefix: string, path: string): Metadata {
  const read = new Set<string>();
  const lookUp = (key: string): GgufValue | undefined => {
    const full = `${prefix}.${key}`;
    read.add(full);
    return values.get(full);
  };
  const wrong = (key: string, kind: string) =>
    new InputError(`${path}: metadata "${prefix}.${key}" is not ${kind}; convert the model again`);

  const optionalNumber = (key: string): number | undefined => {
    const value = lookUp(key);
    if (value === undefined) return undefined;
    const one = Array.isArray(value) ? sameInEveryLayer(value, `${prefix}.${key}`, path) : value;
    if (typeof one !== "number" || !Number.isFinite(one)) throw wrong(key, "a finite number");
    return shortest(one);
  };
  return {
    optionalNumber,
    number(key) {
      const value = optionalNumber(key);
      if (value !== undefined) return value;
      throw new InputError(`${path}: has no metadata "${prefix}.${key}"; convert the model again`);
    },
    optionalFlag(key) {
      const value = lookUp(key);
      if (value === undefined || typeof value === "boolean") return value;
      throw wrong(key, "true or false");
    },
    optionalText(key) {
      const value = lookUp(key);
      if (value === undefined || typeof value === "string") return value;
      throw wrong(key, "text");
    },
    ignore(...keys) {
      for (const key of keys) read.add(`${prefix}.${key}`);
    },
    checkAllRead() {
      for (const key of values.keys()) {
        if (!key.startsWith(`${prefix}.`) || read.has(key)) continue;
        throw new InputError(
          `${path}: metadata ${quote(key)} is not known to pare and may change what the model computes; ` +
            "use the model's safetensors files",
        );
      }
    },
  };
}

function sameInEveryLayer(values: readonly unknown[], key: string, path: string): unknown {
  const [first] = values;
  if (values.length > 0 && values.every((value) => value === first)) return first;
  throw new InputError(`${path}: metadata "${key}" differs from layer to layer, which is not supported`);
}

/** The shortest decimal number that is the same as float32: 1e-5, where its float32 in float64 is 9.999999747378752e-6. */
function shortest(value: number): number {
  if (Number.isInteger(value) || Math.fround(value) !== value) return value;
  for (let digits = 1; digits < 9; digits++) {
    const rounded = Number(value.toPrecision(digits));
    if (Math.fround(rounded) === value) return rounded;
  }
  return Number(value.toPrecision(9));
}
