import type { Budget } from "../../analysis/analysis.js";
import type { ReportData } from "../report-data.js";

/** Cells within the study's budget, and which of them are best. */
export function within({ budget }: ReportData): ReadonlyMap<string, "best" | "within"> {
  const found = new Map<string, "best" | "within">();
  for (const choice of budget ?? []) {
    for (const { cell } of choice.within) found.set(cell, cell === choice.best ? "best" : "within");
  }
  return found;
}

/** `JSD ≤ 0.02 nats, task loss ≤ 2.0%`. */
export function budgetText({ jsd, taskLoss, perplexityRatio }: Budget): string {
  return [
    ...(jsd === undefined ? [] : [`JSD ≤ ${jsd} nats`]),
    ...(taskLoss === undefined ? [] : [`task loss ≤ ${Number((100 * taskLoss).toPrecision(4))}%`]),
    ...(perplexityRatio === undefined ? [] : [`perplexity ratio ≤ ${perplexityRatio}`]),
  ].join(", ");
}
