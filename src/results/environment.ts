import { arch, cpus, platform } from "node:os";
import type { Engine } from "../engine/engine.js";
import { version } from "../version.js";

/** What results were computed with. */
export interface EnvironmentRecord {
  readonly pare: string;
  readonly engine: string;
  readonly engineVersion: string;
  readonly precision: string;
  /** Not in records of versions that knew the processor alone. */
  readonly device?: string;
  readonly node: string;
  readonly platform: string;
  readonly processor: string;
  readonly threads: number;
}

export function environmentRecord(engine: Engine): EnvironmentRecord {
  return {
    pare: version,
    engine: engine.name,
    engineVersion: engine.version,
    precision: engine.precision,
    device: engine.device,
    node: process.versions.node,
    platform: `${platform()} ${arch()}`,
    processor: cpus()[0]?.model.trim() ?? "unknown",
    threads: engine.threads,
  };
}
