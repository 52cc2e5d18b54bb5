import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { families } from "../../src/model/families/registry.js";
import { oracle } from "../oracles.js";

/** Where tiny random models are: all families where PARE_ORACLES has them, beside the few that are carried. */
const roots = [oracle("models", "tiny-random"), fileURLToPath(new URL("../fixtures/models", import.meta.url))];
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

export function tinyModel(name: string): string {
  const path = paths.get(name);
  if (!path) throw new Error(`there is no tiny model ${name}`);
  return path;
}
