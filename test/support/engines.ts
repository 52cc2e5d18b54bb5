import type { Device, Engine, Precision } from "../../src/engine/engine.js";
import { availableDevices } from "../../src/engine/onnxruntime/session.js";
import { createEngine, engines } from "../../src/engine/registry.js";
import { InputError } from "../../src/errors.js";

/** Precisions and devices; CI names those that its machine has: there an engine that cannot compute so is a failure. */
const required = process.env["PARE_REQUIRE_ENGINES"]?.split(" ") ?? [];

/** An engine in one of its precisions, on one of its devices. */
export interface EngineCase {
  readonly engine: string;
  readonly precision: Precision;
  readonly device: Device;
  /** For test titles; says why it is skipped. */
  readonly title: string;
  readonly isSkipped: boolean;
  create(options?: { readonly threads?: number }): Engine;
}

/**
 * Every engine in each of its precisions and on each device that onnxruntime is built for here. What is not there is skipped
 * by name.
 */
export const engineCases: readonly EngineCase[] = await Promise.all(
  engines.flatMap(({ name, precisions, devices }) =>
    devices
      .filter((device) => availableDevices().includes(device))
      .flatMap((device) =>
        precisions.map(async (precision) => {
          const create: EngineCase["create"] = (options) => createEngine(name, { ...options, precision, device });
          const isRequired = required.includes(device === "cpu" ? precision : device);
          const missing = isRequired ? undefined : await whyMissing(create);
          const where = `${precisions.length > 1 ? ` in ${precision}` : ""}${device === "cpu" ? "" : ` on ${device}`}`;
          return {
            engine: name,
            precision,
            device,
            title: `${name}${where}${missing ? ` (skipped: ${missing})` : ""}`,
            isSkipped: missing !== undefined,
            create,
          };
        }),
      ),
  ),
);

/** The cases that run here. */
export const availableEngines: readonly EngineCase[] = engineCases.filter(({ isSkipped }) => !isSkipped);

/** What it says that it cannot do; every other error is one. */
async function whyMissing(create: EngineCase["create"]): Promise<string | undefined> {
  let engine: Engine | undefined;
  try {
    engine = create();
    await engine.check?.();
    return undefined;
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return error.message.replace(/ \(.*/, "");
  } finally {
    await engine?.dispose();
  }
}
