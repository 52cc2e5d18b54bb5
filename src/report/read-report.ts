import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { analyseStudy } from "../analysis/analyse.js";
import { isMissing } from "../checkpoint/folder.js";
import { InputError } from "../errors.js";
import { readStudy } from "../results/study-folder.js";
import type { ItemResult } from "../task-evaluation/item-results.js";
import { reportDocument } from "./data.js";
import type { ReportDocument } from "./report-data.js";

/** What the report shows of a study's folder as it is now. Throws InputError where it is none. */
export async function readReport(directory: string): Promise<ReportDocument> {
  const { record, cells, failed } = await readStudy(directory);
  const itemsOf = (cell: string) => readItems(join(directory, "cells", `${cell}.items.jsonl`));
  return reportDocument({ record, cells, failed, analysis: analyseStudy(record, cells), itemsOf });
}

/** Items, a line each; a study without tasks has no file. */
async function readItems(path: string): Promise<ItemResult[]> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if (isMissing(error)) return "";
    throw error;
  });
  return text.split("\n").flatMap((line, i) => {
    if (line === "") return [];
    try {
      return [JSON.parse(line) as ItemResult];
    } catch (cause) {
      throw new InputError(`${path}: line ${i + 1} is not valid JSON; remove the file and run the study again`, {
        cause,
      });
    }
  });
}
