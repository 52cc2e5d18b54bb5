import { type HubOrigin, hubOrigin } from "../hub/cache.js";

/** A model as results name it. */
export interface ModelRecord {
  /** Its folder or file as given, or its name on the hub. */
  readonly path: string;
  /** SHA-256 over config.json and the weights' files. */
  readonly sha256: string;
  /** Where it is from, if that is the hub. */
  readonly hub?: HubOrigin;
}

export function modelRecord(path: string, sha256: string): ModelRecord {
  const hub = hubOrigin(path);
  if (!hub) return { path, sha256 };
  return { path: hub.file === undefined ? hub.name : `${hub.name}/${hub.file}`, sha256, hub };
}
