import type { Curve, Measure, MeasureKind } from "../analysis/analysis.js";
import { table } from "../text/table.js";
import { measured, percent, plain, short } from "./format.js";
import type { ReportCell, ReportData } from "./report-data.js";

const BAR = 40;
const BLOCKS = " ▏▎▍▌▋▊▉█";
const MAX_ROWS = 40;
const MAX_NAME = 44;

/** In the order of the measures. */
const ON_TEXT: readonly MeasureKind[] = ["perplexityRatio", "jsd", "top1Changed"];
const TITLES: Readonly<Partial<Record<MeasureKind, string>>> = {
  perplexityRatio: "ratio to base",
  jsd: "JSD (nats)",
  top1Changed: "top-1 changed",
  overallTaskLoss: "task loss",
};

/** What a study ends with in the terminal: a table narrow enough for one, JSD by sparsity as bars, and what was found. */
export function terminalReport(data: ReportData): string {
  return [figures(data), bars(data), findings(data)].filter((part) => part !== "").join("\n\n");
}

function figures(data: ReportData): string {
  const text = data.measures.find(({ kind }) => kind === "jsd")?.source;
  const measures = data.measures.filter(
    ({ kind, source }) => kind === "overallTaskLoss" || (ON_TEXT.includes(kind) && source === text),
  );
  const best = new Set(data.budget?.map((choice) => choice.best));
  const rows = data.cells
    .slice(0, MAX_ROWS)
    .map((cell) => [
      name(cell.name),
      percent(cell.sparsity, 1),
      cell.perplexity === null ? "-" : cell.perplexity.toPrecision(4),
      ...measures.map((measure) => figure(measure, cell)),
      [
        ...(best.has(cell.id) ? ["best in budget"] : []),
        ...(cell.perplexityMisleads ? ["perplexity misleads"] : []),
      ].join(", "),
    ]);
  const head = ["model", "zeros", "perplexity", ...measures.map(({ kind }) => TITLES[kind] ?? ""), ""];
  const hidden = data.cells.length - rows.length;
  return [
    table([head, ...rows]),
    `${text ? `Perplexity and divergence are on ${plain(text)}. ` : ""}± is half of the 95% interval; ~ marks what cannot be told from the base.`,
    ...(hidden > 0 ? [`${hidden} more are in the report.`] : []),
  ].join("\n");
}

function figure({ id, unit }: Measure, { values }: ReportCell): string {
  const value = values[id];
  if (!value) return "-";
  const half = value.interval && (value.interval[1] - value.interval[0]) / 2;
  const error = half === null ? "" : ` ± ${unit === "nats" ? half.toPrecision(2) : measured(unit, half)}`;
  return `${value.differs === false ? "~" : ""}${measured(unit, value.value)}${error}`;
}

/** JSD of every curve's points on the first text, drawn to one scale. */
function bars({ measures, curves }: ReportData): string {
  const measure = measures.find(({ kind }) => kind === "jsd");
  if (!measure) return "";
  const points = curves.flatMap((curve) =>
    curve.points.flatMap(({ sparsity, values }) => {
      const found = values[measure.id];
      return found ? [{ label: `${name(curve.name)} ${targetOf(curve, sparsity)}`, value: found.value }] : [];
    }),
  );
  const most = Math.max(...points.map(({ value }) => value));
  if (points.length === 0 || points.length > MAX_ROWS || !(most > 0)) return "";
  const rows = points.map(({ label, value }) => [label, short(value), bar(value / most)]);
  return [`${plain(measure.title)} (nats)`, table(rows, [0, 2])].join("\n");
}

function targetOf({ pattern }: Curve, sparsity: number): string {
  return pattern === null ? percent(sparsity, 0) : "";
}

/** A bar in eighths of a character. */
function bar(share: number): string {
  const eighths = Math.round(8 * BAR * share);
  return "█".repeat(Math.floor(eighths / 8)) + (eighths % 8 === 0 ? "" : BLOCKS[eighths % 8]);
}

const SEVERITY = { finding: "", warning: "caution: ", serious: "warning: " } as const;

function findings({ findings: all }: ReportData): string {
  return all
    .filter(({ kind, severity }) => severity !== "finding" || kind === "headline" || kind === "budget")
    .map(({ severity, text }) => `${SEVERITY[severity]}${plain(text)}`)
    .join("\n");
}

function name(text: string): string {
  const one = plain(text);
  return one.length > MAX_NAME ? `${one.slice(0, MAX_NAME - 1)}…` : one;
}
