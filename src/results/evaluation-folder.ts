import { mkdir, readdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../errors.js";
import type { ItemResult } from "../task-evaluation/item-results.js";
import { type Journal, openJournal } from "./journal.js";

/** A folder of results: `results.json`, `items.jsonl`, and `journal.jsonl`, from which a stopped run goes on. */
export interface EvaluationFolder {
  readonly journal: Journal;
  write(result: unknown, items: readonly ItemResult[]): Promise<void>;
  close(): void;
}

const JOURNAL = "journal.jsonl";

/** Opens or begins a folder; without one nothing is kept. Throws InputError for a folder that holds something else. */
export async function openEvaluationFolder(directory: string | undefined): Promise<EvaluationFolder> {
  if (directory === undefined) {
    const journal = await openJournal(undefined);
    return { journal, write: async () => {}, close: () => journal.close() };
  }
  const there: readonly string[] = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [] as string[];
    throw new InputError(`--output ${directory}: ${error.message}`, { cause: error });
  });
  if (there.length > 0 && !there.includes(JOURNAL)) {
    throw new InputError(`--output ${directory}: the folder holds other things; name a new one`);
  }
  await mkdir(directory, { recursive: true });
  const journal = await openJournal(join(directory, JOURNAL));
  return {
    journal,
    async write(result, items) {
      await replace(join(directory, "items.jsonl"), items.map((item) => `${JSON.stringify(item)}\n`).join(""));
      await replace(join(directory, "results.json"), `${JSON.stringify(result, null, 2)}\n`);
    },
    close: () => journal.close(),
  };
}

/** The file is the old one or the new one, never a part. */
async function replace(file: string, text: string): Promise<void> {
  await writeFile(`${file}.partial`, text);
  await rename(`${file}.partial`, file);
}
