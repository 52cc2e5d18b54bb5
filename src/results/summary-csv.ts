import { metricsOf } from "../task-evaluation/summary.js";
import type { CellResult } from "./study-results.js";

type Value = string | number | null;

/**
 * The cells as CSV (RFC 4180), a line each, for spreadsheets: label, sparsity, and the figures of every text and task;
 * empty where a cell has none. Divergences and losses in nats.
 */
export function summaryCsv(cells: readonly CellResult[]): string {
  const rows = cells.map(rowOf);
  const columns = [...new Set(rows.flatMap((row) => [...row.keys()]))];
  const lines = rows.map((row) => columns.map((column) => field(row.get(column) ?? null)));
  return [columns.map(field), ...lines].map((fields) => `${fields.join(",")}\r\n`).join("");
}

function rowOf({ id, label, compression, text, tasks, finishedAt, seconds }: CellResult): Map<string, Value> {
  const row = new Map<string, Value>([
    ["id", id],
    ["model", label.model],
    ["method", label.method],
    ["methodOptions", JSON.stringify(label.methodOptions)],
    ["sparsity", label.sparsity],
    ["pattern", label.pattern],
    ["calibration", label.calibration],
    ["seed", label.seed],
    ["sparsityAchieved", compression.sparsity],
    ["bytes", compression.bytes],
  ]);
  for (const [
    source,
    { perplexity, loss, jsd, kl, klReverse, sameTop1, positions, nonFinite, noiseFloor },
  ] of Object.entries(text)) {
    const add = (name: string, value: Value) => row.set(`${source}.${name}`, value);
    add("positions", positions);
    add("nonFinite", nonFinite);
    add("perplexityBase", perplexity.base);
    add("perplexity", perplexity.compressed);
    add("perplexityRatio", perplexity.ratio);
    add("perplexityRatioStandardError", perplexity.ratioStandardError);
    add("lossDifference", loss.difference);
    add("jsd", jsd.mean);
    add("jsdStandardError", jsd.standardError);
    add("kl", kl.mean);
    add("klStandardError", kl.standardError);
    add("klReverse", klReverse.mean);
    add("sameTop1", sameTop1.mean);
    add("sameTop1StandardError", sameTop1.standardError);
    if (noiseFloor) add("noiseFloorJsd", noiseFloor.jsd.mean);
  }
  for (const [task, summary] of Object.entries(tasks)) {
    for (const [metric, { items, base, compressed, difference, interval, p, pHolm }] of metricsOf(summary)) {
      const add = (name: string, value: Value) => row.set(`${task}.${metric}.${name}`, value);
      add("items", items);
      add("base", base);
      add("compressed", compressed);
      add("difference", difference);
      add("differenceLow", interval?.[0] ?? null);
      add("differenceHigh", interval?.[1] ?? null);
      add("p", p);
      add("pHolm", pHolm);
    }
  }
  row.set("finishedAt", finishedAt);
  row.set(
    "seconds",
    Object.values(seconds).reduce((sum, value) => sum + value, 0),
  );
  return row;
}

function field(value: Value): string {
  const text = value === null ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
