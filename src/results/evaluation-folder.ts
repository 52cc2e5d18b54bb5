import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { InputError, systemAdvice } from "../errors.js";
import { isPartialOf, replaceFile } from "../files.js";
import type { TaskResults } from "../task-evaluation/evaluate-tasks.js";
import { type HarnessFile, type HarnessHead, type HarnessTasks, harnessFiles } from "./harness.js";
import { type Journal, openJournal } from "./journal.js";

/**
 * A folder of results: `results.json`, `items.jsonl`, `lm-eval/` (the tasks' results as lm-evaluation-harness writes them),
 * and `journal.jsonl`, from which a stopped run goes on.
 */
export interface EvaluationFolder {
  readonly journal: Journal;
  write(result: HarnessHead, tasks: HarnessTasks | undefined, results: TaskResults | undefined): Promise<void>;
  close(): void;
}

const JOURNAL = "journal.jsonl";
const ITEMS = "items.jsonl";
const RESULTS = "results.json";
const HARNESS = "lm-eval";

/** Opens or begins a folder; without one nothing is kept. Throws InputError for a folder that holds something else. */
export async function openEvaluationFolder(directory: string | undefined): Promise<EvaluationFolder> {
  if (directory === undefined) {
    const journal = await openJournal(undefined);
    return { journal, write: async () => {}, close: () => journal.close() };
  }
  const there: readonly string[] = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [] as string[];
    throw new InputError(`--output ${directory}: ${systemAdvice(error.code ?? "") ?? error.message}`, { cause: error });
  });
  if (there.length > 0 && !there.includes(JOURNAL)) {
    throw new InputError(`--output ${directory}: the folder holds other things; name a new one`);
  }
  await mkdir(directory, { recursive: true });
  // What a killed process was about to put in place.
  const isLeft = (name: string) => isPartialOf(ITEMS, name) || isPartialOf(RESULTS, name);
  for (const name of there.filter(isLeft)) await rm(join(directory, name), { force: true });
  const journal = await openJournal(join(directory, JOURNAL));
  return {
    journal,
    async write(result, tasks, results) {
      const lines = results?.items.map((item) => `${JSON.stringify(item)}\n`) ?? [];
      await replaceFile(join(directory, ITEMS), lines.join(""));
      await replaceHarness(join(directory, HARNESS), tasks && results ? harnessFiles(result, results, tasks) : []);
      await replaceFile(join(directory, RESULTS), `${JSON.stringify(result, null, 2)}\n`);
    },
    close: () => journal.close(),
  };
}

/** A model's earlier files have earlier dates in their names: they go, so that it has one set of them. Other models' stay. */
async function replaceHarness(folder: string, files: readonly HarnessFile[]): Promise<void> {
  const partial = `${folder}.partial`;
  await rm(partial, { recursive: true, force: true });
  for (const { folder: model, name, text } of files) {
    await mkdir(join(partial, model), { recursive: true });
    await writeFile(join(partial, model, name), text);
  }
  for (const model of new Set(files.map(({ folder: model }) => model))) {
    await mkdir(folder, { recursive: true });
    await rm(join(folder, model), { recursive: true, force: true });
    await rename(join(partial, model), join(folder, model));
  }
  await rm(partial, { recursive: true, force: true });
}
