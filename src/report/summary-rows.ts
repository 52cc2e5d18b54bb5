import type { Measure } from "../analysis/analysis.js";
import { intervalText, measured, plain } from "./format.js";
import type { ReportCell, ReportData } from "./report-data.js";

/** The headline table in text, for terminals and pull requests. */
export interface SummaryTable {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A line a cell: divergence and perplexity on the first text, and what the tasks lose, with 95% intervals. */
export function summaryTable(data: ReportData): SummaryTable {
  const shown = headlineMeasures(data);
  const best = new Set(data.budget?.map((choice) => choice.best));
  const mark = ({ id, perplexityMisleads }: ReportCell) =>
    [...(best.has(id) ? ["best in budget"] : []), ...(perplexityMisleads ? ["perplexity misleads"] : [])].join(", ");
  const hasMarks = data.cells.some((cell) => mark(cell) !== "");
  return {
    head: [
      "model",
      ...shown.map(({ title, unit }) => (unit === "nats" ? `${title} (nats)` : title)),
      ...(hasMarks ? [""] : []),
    ].map(plain),
    rows: data.cells.map((cell) => [
      plain(cell.name),
      ...shown.map((measure) => valueText(measure, cell)),
      ...(hasMarks ? [mark(cell)] : []),
    ]),
  };
}

/** Measures that say most in least room. */
function headlineMeasures({ measures, tasks }: ReportData): Measure[] {
  const text = measures.find(({ kind }) => kind === "jsd")?.source;
  return measures.filter(
    ({ kind, source, metric }) =>
      ((kind === "jsd" || kind === "perplexityRatio") && source === text) ||
      kind === "overallTaskLoss" ||
      (kind === "taskDifference" && source !== null && tasks[source]?.metrics[0] === metric),
  );
}

function valueText({ id, unit }: Measure, { values }: ReportCell): string {
  const value = values[id];
  if (!value) return "";
  const interval = intervalText(unit, value.interval);
  return `${measured(unit, value.value)}${interval && ` (${interval})`}`;
}
