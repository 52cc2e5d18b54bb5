import { InputError } from "../errors.js";
import { nearest } from "../text/nearest.js";
import type { Engine } from "./engine.js";
import { createOnnxRuntimeEngine } from "./onnxruntime/onnxruntime.js";
import { createReferenceEngine } from "./reference/reference.js";

/** How to get an engine, and what `pare list engines` says of it. */
interface EngineEntry {
  readonly name: string;
  readonly summary: string;
  create(options: { readonly threads?: number }): Engine;
}

/** Every engine; the first is the default. */
export const engines: readonly EngineEntry[] = [
  { name: "onnxruntime", summary: "float32 on the CPU by onnxruntime-node", create: createOnnxRuntimeEngine },
  {
    name: "reference",
    summary: "float64 in plain TypeScript: exact and slow, to check others by",
    create: createReferenceEngine,
  },
];

/** Starts an engine by name. Throws InputError for an unknown one. */
export function createEngine(name: string | undefined, options: { readonly threads?: number } = {}): Engine {
  const entry = name === undefined ? engines[0] : engines.find((candidate) => candidate.name === name);
  if (!entry) {
    const names = engines.map((engine) => engine.name);
    const close = nearest(name ?? "", names);
    throw new InputError(
      `--engine ${name}: there is no such engine${close ? ` (did you mean ${close}?)` : ""}; there are: ${names.join(", ")}`,
    );
  }
  return entry.create(options);
}
