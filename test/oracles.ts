import { existsSync } from "node:fs";
import { join } from "node:path";

/** The folder of larger oracles (PARE_ORACLES), or undefined. Tests that need it are skipped by name without it. */
const oracles = process.env["PARE_ORACLES"];

/** A path inside PARE_ORACLES if it is there. */
export function oracle(...parts: string[]): string | undefined {
  if (!oracles) return undefined;
  const path = join(oracles, ...parts);
  return existsSync(path) ? path : undefined;
}
