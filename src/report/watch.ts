import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { isMissing } from "../checkpoint/folder.js";
import { readLockFile } from "../checkpoint/lock-file.js";
import { isAlive } from "../checkpoint/owner.js";

/** Locks are touched every 15 seconds by those who work under them. */
const ALIVE_MILLISECONDS = 60_000;

/** What a study's folder looks like from outside. */
export interface StudyState {
  /** Equal texts: no new results. */
  readonly results: string;
  /** Cells that processes are working on now. */
  readonly working: number;
  readonly failed: number;
}

export async function studyState(directory: string): Promise<StudyState> {
  const names = (await list(join(directory, "cells"))).filter((name) => name.endsWith(".json")).sort();
  const files = ["study.json", ...names.map((name) => join("cells", name))];
  const states = await Promise.all(
    files.map(async (file) => {
      const state = await stat(join(directory, file)).catch(() => undefined); // gone since it was listed
      return state ? `${file} ${state.size} ${state.mtimeMs}` : "";
    }),
  );
  const finished = new Set(names);
  const failed = names.filter(
    (name) => name.endsWith(".failed.json") && !finished.has(name.replace(".failed.json", ".json")),
  ).length;
  return { results: states.join("\n"), working: await workers(join(directory, "locks")), failed };
}

/** Locks of cells (not of base models) that somebody still holds. */
async function workers(locks: string): Promise<number> {
  const names = (await list(locks)).filter((name) => /^[0-9a-f]{16}\.lock$/.test(name));
  const held = await Promise.all(names.map((name) => isHeld(join(locks, name))));
  return held.filter(Boolean).length;
}

/** As lock.ts has it, but that nothing is written to the folder to learn its file system's time. */
async function isHeld(path: string): Promise<boolean> {
  const lock = await readLockFile(path);
  if (typeof lock !== "object") return false;
  const isRunning = await isAlive(lock);
  if (isRunning !== undefined) return isRunning;
  const info = await stat(path).catch(() => undefined);
  return info !== undefined && Date.now() - info.mtimeMs < ALIVE_MILLISECONDS;
}

/**
 * Calls back whenever the folder is another than `known`, then than the last time. It is looked at again and again, since
 * notices from the system do not reach over file systems that several machines share. Returns what ends it.
 */
export function watchStudy(
  directory: string,
  known: StudyState,
  milliseconds: number,
  onChange: (now: StudyState, before: StudyState) => void,
): () => void {
  let last = known;
  let busy = false;
  const timer = setInterval(async () => {
    if (busy) return;
    busy = true;
    try {
      const now = await studyState(directory);
      const before = last;
      last = now;
      const isSame = now.results === before.results && now.working === before.working && now.failed === before.failed;
      if (!isSame) onChange(now, before);
    } catch {
      // A folder that cannot be read for a moment is looked at again.
    } finally {
      busy = false;
    }
  }, milliseconds);
  return () => clearInterval(timer);
}

function list(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
}
