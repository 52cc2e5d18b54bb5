import type { CellAnalysis, StudyAnalysis } from "../analysis/analysis.js";
import { createNames, sparsityOf } from "../analysis/labels.js";
import type { CellResult, FailedCell, StudyRecord } from "../results/study-results.js";
import type { ItemResult } from "../task-evaluation/item-results.js";
import { metricsOf } from "../task-evaluation/summary.js";
import { studyFileText } from "./definition.js";
import { itemChunks } from "./items.js";
import { layerSparsity } from "./layers.js";
import { provenance } from "./provenance.js";
import type { ReportCell, ReportData, ReportDocument, ReportTask } from "./report-data.js";
import { sampleChunks } from "./samples.js";

/** A study's folder as read, and what its cells say together. */
export interface ReportInput {
  readonly record: StudyRecord;
  /** Those that are finished. */
  readonly cells: readonly CellResult[];
  readonly failed?: readonly FailedCell[];
  readonly analysis: StudyAnalysis;
  readonly itemsOf: (cell: string) => Promise<readonly ItemResult[]>;
}

/** Everything that the report page shows of a study. Limits keep a page of 200 cells and 1,000 items below 10 MB. */
export async function reportDocument({
  record,
  cells,
  failed = [],
  analysis,
  itemsOf,
}: ReportInput): Promise<ReportDocument> {
  const items = await itemChunks(
    cells.map(({ id, label }) => ({ id, model: label.model })),
    itemsOf,
  );
  const samples = sampleChunks(cells);
  const names = createNames(record.cells.map(({ label }) => label));
  const analysed = new Map(analysis.cells.map((cell) => [cell.id, cell]));
  const data: ReportData = {
    study: {
      name: record.name,
      createdAt: record.createdAt,
      pare: record.environment.pare,
      models: record.models.map(({ name, parameters, layers }) => ({ name, parameters, layers })),
    },
    measures: analysis.measures,
    cells: cells.flatMap((cell) => {
      const found = analysed.get(cell.id);
      if (!found) return [];
      return {
        ...reportCell(cell, found),
        samples: samples.byCell.get(cell.id) ?? [],
        items: items.byCell.get(cell.id) ?? [],
      };
    }),
    missing: record.cells.filter(({ id }) => analysis.missing.includes(id)).map(({ label }) => names.cell(label)),
    failed: failed
      .filter(({ id }) => analysis.missing.includes(id))
      .map(({ label, error }) => ({ name: names.cell(label), error })),
    curves: analysis.curves,
    agreement: analysis.agreement,
    blocks: analysis.blocks,
    calibration: analysis.calibration,
    budget: analysis.budget,
    findings: analysis.findings,
    tasks: Object.fromEntries(cells.flatMap(tasksOf)),
    provenance: provenance(record, cells, (id) => analysed.get(id)?.name ?? id),
    definition: studyFileText(record.definition),
  };
  return { data, chunks: { ...items.chunks, ...samples.chunks } };
}

function reportCell(cell: CellResult, analysed: CellAnalysis): Omit<ReportCell, "samples" | "items"> {
  const { label, compression } = cell;
  return {
    id: cell.id,
    name: analysed.name,
    model: label.model,
    method: label.method,
    options: Object.entries(label.methodOptions)
      .map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : String(value)}`)
      .join(", "),
    target: sparsityOf(label),
    pattern: label.pattern,
    calibration: label.calibration,
    seed: label.seed,
    sparsity: compression.sparsity,
    perplexity: Object.values(cell.text)[0]?.perplexity.compressed ?? null,
    values: analysed.values,
    perplexityMisleads: analysed.perplexityMisleads,
    layers: layerSparsity(compression.sites),
  };
}

function tasksOf({ tasks }: CellResult): [string, ReportTask][] {
  return Object.entries(tasks).map(([task, summary]) => {
    const metrics = metricsOf(summary);
    return [task, { items: metrics[0]?.[1].items ?? 0, metrics: metrics.map(([metric]) => metric) }];
  });
}
