import { parquetWriteFile } from "hyparquet-writer";
import type { Answer, ItemResult } from "../task-evaluation/item-results.js";

/** One metric of one item; the prompt and all else stand in items.jsonl under the same id. */
interface ScoreRow {
  readonly id: string;
  readonly task: string;
  readonly index: number;
  readonly metric: string;
  readonly base: number | null;
  readonly compressed: number;
  readonly reference: string | null;
  readonly answerBase: string | null;
  readonly answer: string | null;
  readonly firstDivergentToken: number | null;
  readonly truncated: number;
}

/** Writes every item's scores to a Parquet file, a row for each metric: columns as ScoreRow. */
export async function writeItems(filename: string, items: readonly ItemResult[]): Promise<void> {
  const rows = items.flatMap(rowsOf);
  const column = <Key extends keyof ScoreRow>(name: Key) => ({ name, data: rows.map((row) => row[name]) });
  parquetWriteFile({
    filename,
    columnData: [
      ...(["id", "task", "metric"] as const).map((name) => ({
        ...column(name),
        type: "STRING" as const,
        nullable: false,
      })),
      ...(["index", "truncated"] as const).map((name) => ({
        ...column(name),
        type: "INT32" as const,
        nullable: false,
      })),
      { ...column("firstDivergentToken"), type: "INT32" as const },
      ...(["base", "compressed"] as const).map((name) => ({ ...column(name), type: "DOUBLE" as const })),
      ...(["reference", "answerBase", "answer"] as const).map((name) => ({
        ...column(name),
        type: "STRING" as const,
      })),
    ],
  });
}

function rowsOf(item: ItemResult): ScoreRow[] {
  const { id, task, index, firstDivergentToken, truncated } = item;
  return Object.entries(item.scores).map(([metric, { base, compressed }]) => ({
    id,
    task,
    index,
    metric,
    base,
    compressed,
    reference: item.references[0] ?? null,
    answerBase: item.base && textOf(item.base, item.choices),
    answer: textOf(item.compressed, item.choices),
    firstDivergentToken,
    truncated,
  }));
}

function textOf(answer: Answer, choices: readonly string[] | null): string | null {
  if (answer.kind === "generate") return answer.text;
  return answer.chosen === null ? null : (choices?.[answer.chosen] ?? null);
}
