import { InputError } from "../errors.js";
import { nearest } from "../text/nearest.js";
import { type Device, devices, type Engine, type Precision } from "./engine.js";
import { createOneDnnEngine } from "./onednn/onednn.js";
import { createOnnxRuntimeEngine } from "./onnxruntime/onnxruntime.js";
import { createReferenceEngine } from "./reference/reference.js";

/** What to make an engine with. */
export interface EngineOptions {
  /** Every core where it is not given. */
  readonly threads?: number;
  /** Give memory back after every run, rather than keep it for the next one. */
  readonly frugal?: boolean;
  /** One of the engine's precisions; the first of them where it is left out. */
  readonly precision?: Precision;
  /** One of the engine's devices; the processor where it is left out. */
  readonly device?: Device;
}

/** How to get an engine, and what `pare list engines` says of it. */
interface EngineEntry {
  readonly name: string;
  readonly summary: string;
  readonly precisions: readonly [Precision, ...Precision[]];
  readonly devices: readonly [Device, ...Device[]];
  create(options: EngineOptions): Engine;
}

/** Every engine, by speed. */
export const engines: readonly EngineEntry[] = [
  {
    name: "onednn",
    summary: "float32 or bfloat16 matrix products by the system's oneDNN (libdnnl), where it is installed",
    precisions: ["float32", "bfloat16"],
    devices: ["cpu"],
    create: ({ precision, ...options }) =>
      createOneDnnEngine({ ...options, precision: precision === "bfloat16" ? "bfloat16" : "float32" }),
  },
  {
    name: "onnxruntime",
    summary: "float32 by onnxruntime-node, on the CPU or on what --device names",
    precisions: ["float32"],
    devices,
    create: createOnnxRuntimeEngine,
  },
  {
    name: "reference",
    summary: "float64 in plain TypeScript: exact and slow, to check others by",
    precisions: ["float64"],
    devices: ["cpu"],
    create: createReferenceEngine,
  },
];

/** In place of an engine's name: the fastest that has what is asked for and runs here. */
const AUTO = "auto";
/** Where none is asked for. */
const DEFAULT_PRECISION: Precision = "float32";

/**
 * Starts an engine by name; without one, or with `auto`, the first that has the precision and the device and runs here. Throws
 * InputError for an unknown one, for a precision or a device that it does not have, and where it cannot run here.
 */
export function createEngine(name: string = AUTO, options: EngineOptions = {}): Engine {
  const { precision, device } = options;
  const has = (entry: EngineEntry) =>
    (precision === undefined || entry.precisions.includes(precision)) &&
    (device === undefined || entry.devices.includes(device));
  const asked = [precision && `--precision ${precision}`, device && `--device ${device}`].filter(Boolean).join(" ");
  if (name === AUTO) {
    const wanted = precision ?? DEFAULT_PRECISION;
    const entries = engines.filter((entry) => has(entry) && entry.precisions.includes(wanted));
    if (entries.length === 0) {
      throw new InputError(`${asked}: no engine has it; there are: ${engines.map(described).join("; ")}`);
    }
    for (const entry of entries.slice(0, -1)) {
      try {
        return entry.create(options);
      } catch (error) {
        if (!(error instanceof InputError)) throw error; // else it is not there, or not for this processor
      }
    }
    return entries.at(-1)!.create(options);
  }
  const entry = engines.find((candidate) => candidate.name === name);
  if (!entry) {
    const names = [...engines.map((engine) => engine.name), AUTO];
    const close = nearest(name, names);
    throw new InputError(
      `--engine ${name}: there is no such engine${close ? ` (did you mean ${close}?)` : ""}; there are: ${names.join(", ")}`,
    );
  }
  if (!has(entry)) {
    const others = engines.filter(has).map((other) => `--engine ${other.name}`);
    throw new InputError(
      `${asked}: the engine ${described(entry)}${others.length > 0 ? `; use ${others.join(" or ")}` : ""}`,
    );
  }
  return entry.create(options);
}

function described({ name, precisions, devices }: EngineEntry): string {
  return `${name} computes in ${precisions.join(" or ")} on ${devices.join(", ")}`;
}
