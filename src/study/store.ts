import { mkdir, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import { isFile, replaceFile } from "../files.js";

/** What one part may unpack to: a task of some 100,000 items, and what fits into one string. */
const MAX_PART_BYTES = 500_000_000;

/**
 * What has been computed, one file for each thing that is computed as a whole: `UNIT/KEY.json.gz`, where the key is made
 * of all that determines it. A part is written whole and never changed.
 */
export interface Store {
  /** Undefined where it is not there, or cannot be read: then it is computed again. */
  read<T>(unit: string, key: string): Promise<T | undefined>;
  write(unit: string, key: string, value: unknown): Promise<void>;
  has(unit: string, key: string): Promise<boolean>;
  /** Forgets all of a unit. */
  clear(unit: string): Promise<void>;
  /** Where a part of another format is to be put. */
  path(unit: string, name: string): Promise<string>;
}

export function createStore(directory: string): Store {
  const pathOf = (unit: string, key: string) => join(directory, unit, `${key}.json.gz`);
  return {
    async read<T>(unit: string, key: string) {
      try {
        const bytes = await promisify(gunzip)(await readFile(pathOf(unit, key)), { maxOutputLength: MAX_PART_BYTES });
        return JSON.parse(bytes.toString()) as T;
      } catch {
        return undefined;
      }
    },
    async write(unit, key, value) {
      const path = pathOf(unit, key);
      await mkdir(dirname(path), { recursive: true });
      await replaceFile(path, await promisify(gzip)(JSON.stringify(value)));
    },
    clear: (unit) => rm(join(directory, unit), { recursive: true, force: true }),
    has: (unit, key) => isFile(pathOf(unit, key)),
    async path(unit, name) {
      await mkdir(join(directory, unit), { recursive: true });
      return join(directory, unit, name);
    },
  };
}
