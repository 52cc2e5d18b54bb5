import { useMemo, useState } from "preact/hooks";
import type { Measure, MeasureValue } from "../../analysis/analysis.js";
import { intervalText, measured, plain, targetText } from "../format.js";
import type { ReportCell, ReportData } from "../report-data.js";
import { within } from "./budget.js";
import { Literal } from "./literal.js";
import { Select } from "./select.js";
import { Sparkbar } from "./sparkbar.js";

interface Column {
  readonly id: string;
  readonly title: string;
  readonly note: string;
  readonly key: (cell: ReportCell) => string | number | undefined;
  readonly measure?: Measure;
}

interface Props {
  readonly data: ReportData;
  readonly source: string;
  readonly selected: string;
  readonly onSelect: (cell: string) => void;
}

const ANY = "";

/** The headline table: a line a compressed model, every figure with its 95% interval against the base. */
export function CellsTable({ data, source, selected, onSelect }: Props) {
  const [sort, setSort] = useState<{ readonly column: string; readonly descending: boolean }>();
  const [search, setSearch] = useState("");
  const [method, setMethod] = useState(ANY);
  const [calibration, setCalibration] = useState(ANY);
  const [only, setOnly] = useState(ANY);
  const columns = useMemo(() => columnsOf(data, source), [data, source]);
  const domains = useMemo(() => new Map(columns.map((column) => [column.id, domainOf(column, data.cells)])), [columns]);
  const allowed = useMemo(() => within(data), [data]);
  const words = search.toLowerCase().split(/\s+/);
  const rows = data.cells.filter(
    (cell) =>
      words.every((word) => cell.name.toLowerCase().includes(word)) &&
      (method === ANY || cell.method === method) &&
      (calibration === ANY || (cell.calibration ?? "none") === calibration) &&
      (only !== "budget" || allowed.has(cell.id)) &&
      (only !== "misleads" || cell.perplexityMisleads),
  );
  const column = columns.find(({ id }) => id === sort?.column);
  const sorted =
    column && sort ? rows.toSorted((a, b) => compare(column.key(a), column.key(b), sort.descending)) : rows;
  const unique = (values: readonly string[]) => [...new Set(values)].map((value) => [value, value] as const);
  return (
    <>
      <div class="controls">
        <label class="field">
          <span>Find</span>
          <input
            type="search"
            value={search}
            onInput={(event) => setSearch(event.currentTarget.value)}
            placeholder="wanda 50%"
          />
        </label>
        <Select
          label="Method"
          value={method}
          options={[[ANY, "all"], ...unique(data.cells.map((cell) => cell.method))]}
          onChange={setMethod}
        />
        <Select
          label="Calibration"
          value={calibration}
          options={[[ANY, "all"], ...unique(data.cells.map((cell) => cell.calibration ?? "none"))]}
          onChange={setCalibration}
        />
        <Select
          label="Show"
          value={only}
          options={[
            [ANY, "all models"],
            ...(data.budget ? [["budget", "within the budget"] as const] : []),
            ...(data.cells.some((cell) => cell.perplexityMisleads)
              ? [["misleads", "where perplexity misleads"] as const]
              : []),
          ]}
          onChange={setOnly}
        />
        <output class="count" aria-live="polite">
          {rows.length} of {data.cells.length} models
        </output>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls has to be reached by the keyboard */}
      <section class="scroll" tabIndex={0} aria-label="Table of compressed models">
        <table class="cells">
          <thead>
            <tr>
              {columns.map(({ id, title, note, measure }) => {
                const direction = sort?.column === id ? (sort.descending ? "descending" : "ascending") : "none";
                return (
                  <th key={id} scope="col" aria-sort={direction} class={measure ? "number" : undefined}>
                    <button
                      type="button"
                      onClick={() => setSort({ column: id, descending: direction === "ascending" })}
                    >
                      <span>{plain(title)}</span>
                      <small>{plain(note)}</small>
                    </button>
                  </th>
                );
              })}
            </tr>
          </thead>
          <tbody>
            {sorted.map((cell) => (
              <tr key={cell.id} class={cell.id === selected ? "selected" : undefined}>
                {columns.map((own, c) =>
                  c === 0 ? (
                    <th key={own.id} scope="row">
                      <button
                        type="button"
                        class="link"
                        aria-pressed={cell.id === selected}
                        onClick={() => onSelect(cell.id)}
                      >
                        <Literal text={cell.method} /> {targetText(cell)}
                      </button>
                      <span class="badges">
                        {allowed.get(cell.id) === "best" && <span class="badge good">best in budget</span>}
                        {allowed.get(cell.id) === "within" && <span class="badge">in budget</span>}
                        {cell.perplexityMisleads && <span class="badge bad">perplexity misleads</span>}
                      </span>
                    </th>
                  ) : own.measure ? (
                    <Figure
                      key={own.id}
                      measure={own.measure}
                      value={cell.values[own.measure.id]}
                      domain={domains.get(own.id)!}
                    />
                  ) : (
                    <td key={own.id}>
                      <Literal text={String(own.key(cell) ?? "")} />
                    </td>
                  ),
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      <p class="note">
        Small figures are 95% intervals. Grey: no difference from the base can be shown (for divergences: not above the
        noise floor). Choose a model to see its layers, tokens and answers below.
      </p>
    </>
  );
}

interface FigureProps {
  readonly measure: Measure;
  readonly value: MeasureValue | undefined;
  readonly domain: readonly [number, number];
}

function Figure({ measure, value, domain }: FigureProps) {
  if (!value) return <td class="number">–</td>;
  return (
    <td class={value.differs === false ? "number same" : "number"}>
      <span class="value">{measured(measure.unit, value.value)}</span>
      <Sparkbar value={value} unchanged={measure.unchanged} domain={domain} />
      <small>{intervalText(measure.unit, value.interval)}</small>
    </td>
  );
}

function columnsOf({ measures, cells, study, tasks }: ReportData, source: string): Column[] {
  const varies = (part: (cell: ReportCell) => unknown) => new Set(cells.map(part)).size > 1;
  const plainColumns: Column[] = [
    { id: "method", title: "Model", note: "method, target", key: (cell) => `${cell.method} ${targetText(cell)}` },
    ...(cells.some((cell) => Math.abs(cell.sparsity - cell.target) >= 0.001)
      ? [
          {
            id: "sparsity",
            title: "Zeros",
            note: "% achieved",
            key: (cell: ReportCell) => Number((100 * cell.sparsity).toFixed(1)),
          },
        ]
      : []),
    ...(study.models.length > 1
      ? [{ id: "base", title: "Base", note: "model", key: (cell: ReportCell) => cell.model }]
      : []),
    ...(varies((cell) => cell.calibration)
      ? [
          {
            id: "calibration",
            title: "Calibration",
            note: "source",
            key: (cell: ReportCell) => cell.calibration ?? "–",
          },
        ]
      : []),
    ...(varies((cell) => cell.seed ?? cells.find(({ seed }) => seed !== null)?.seed)
      ? [{ id: "seed", title: "Seed", note: "of calibration", key: (cell: ReportCell) => cell.seed ?? "–" }]
      : []),
    ...(varies((cell) => `${cell.method} ${cell.options}`) && varies((cell) => cell.options) && optionsVary(cells)
      ? [{ id: "options", title: "Options", note: "of the method", key: (cell: ReportCell) => cell.options }]
      : []),
  ];
  const shown = measures.filter(
    ({ kind, source: own, metric }) =>
      (["jsd", "perplexityRatio", "top1Changed"].includes(kind) && own === source) ||
      kind === "overallTaskLoss" ||
      (kind === "taskDifference" && own !== null && tasks[own]?.metrics[0] === metric),
  );
  return [
    ...plainColumns,
    ...shown.map((measure) => ({
      ...headOf(measure),
      id: measure.id,
      key: (cell: ReportCell) => cell.values[measure.id]?.value,
      measure,
    })),
  ];
}

/** Whether one method was run with different options. */
function optionsVary(cells: readonly ReportCell[]): boolean {
  return (
    new Set(cells.map((cell) => `${cell.method} ${cell.options}`)).size > new Set(cells.map((cell) => cell.method)).size
  );
}

function headOf({ kind, source, metric }: Measure): { title: string; note: string } {
  switch (kind) {
    case "jsd":
      return { title: "JSD", note: `nats, ${source}` };
    case "perplexityRatio":
      return { title: "Perplexity ratio", note: `to base, ${source}` };
    case "top1Changed":
      return { title: "Changed top token", note: `${source}` };
    case "overallTaskLoss":
      return { title: "Task loss", note: "mean over tasks" };
    default:
      return { title: `${source}`, note: `Δ ${metric}` };
  }
}

function domainOf({ id, measure }: Column, cells: readonly ReportCell[]): readonly [number, number] {
  if (!measure) return [0, 1];
  const figures = cells.flatMap((cell) => {
    const value = cell.values[id];
    return value ? [value.value, ...(value.interval ?? [])] : [];
  });
  // One model that is broken must not press all others' bars flat.
  const most = measure.kind === "perplexityRatio" ? 3 : Number.POSITIVE_INFINITY;
  return [
    Math.min(measure.unchanged, ...figures),
    Math.max(measure.unchanged, ...figures.map((value) => Math.min(value, most))),
  ];
}

/** What is not there comes last, either way. */
function compare(a: string | number | undefined, b: string | number | undefined, descending: boolean): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
  const order =
    typeof a === "number" && typeof b === "number"
      ? a - b
      : String(a).localeCompare(String(b), "en", { numeric: true });
  return descending ? -order : order;
}
