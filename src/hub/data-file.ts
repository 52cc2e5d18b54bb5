import { bringFile } from "./file.js";
import { type HubOptions, hubContext } from "./http.js";
import { DATASET_PREFIX, parseDatasetFile } from "./names.js";

/** A file of a data set, in the cache. */
export interface CachedDataFile {
  readonly path: string;
  /** Its address on the hub, with the commit. */
  readonly address: string;
}

/**
 * The local copy of `hf://datasets/org/name[@revision]/path`, downloaded where it is not there. Throws InputError, RunError,
 * AbortError.
 */
export async function resolveDataFile(address: string, options: HubOptions = {}): Promise<CachedDataFile> {
  const file = parseDatasetFile(address);
  const { path, commit } = await bringFile(file, await hubContext(options));
  return { path, address: `${DATASET_PREFIX}${file.repository.name}@${commit}/${file.path}` };
}
