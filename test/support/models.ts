import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Device } from "../../src/engine/engine.js";
import { families } from "../../src/model/families/registry.js";
import { oracle } from "../oracles.js";

const carried = fileURLToPath(new URL("../fixtures/models", import.meta.url));
/** Where tiny random models are: all families where PARE_ORACLES has them, beside the few that are carried. */
const roots = [oracle("models", "tiny-random"), carried];
const known = new Set(families.flatMap((family) => family.modelTypes));

/** Paths by name of the tiny random models whose family there is. */
const paths = new Map(
  roots
    .filter((root) => root !== undefined)
    .toReversed()
    .flatMap((root) => readdirSync(root).map((name) => [name, join(root, name)] as const))
    .filter(([, path]) => {
      const config = join(path, "config.json");
      return existsSync(config) && known.has(JSON.parse(readFileSync(config, "utf8")).model_type);
    }),
);

export const tinyModels: readonly string[] = [...paths.keys()].sort();

/** For a device: all of them on the processor, and on others, which may be emulated, those that are carried. */
export function tinyModelsFor(device: Device): readonly string[] {
  return device === "cpu" ? tinyModels : tinyModels.filter((name) => existsSync(join(carried, name)));
}

export function tinyModel(name: string): string {
  const path = paths.get(name);
  if (!path) throw new Error(`there is no tiny model ${name}`);
  return path;
}
