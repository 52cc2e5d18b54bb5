import type { CellAnalysis } from "../analysis/analysis.js";
import type { CellResult } from "../results/study-results.js";
import { metricsOf } from "../task-evaluation/summary.js";

/** MLflow's own limits of a name and of a parameter's value (older servers: 500). */
const MAX_NAME = 250;
const MAX_VALUE = 500;

export interface Parameter {
  readonly key: string;
  readonly value: string;
}

/** What a cell was made with. */
export function parametersOf({ label, environment, compression }: CellResult, modelSha256: string): Parameter[] {
  const { methodOptions, ...rest } = label;
  const values: Readonly<Record<string, unknown>> = {
    ...rest,
    ...Object.fromEntries(Object.entries(methodOptions).map(([key, value]) => [`methodOptions.${key}`, value])),
    modelSha256,
    compressedSha256: compression.sha256,
    calibrationIdsSha256: compression.calibration?.idsSha256,
    engine: `${environment.engine} ${environment.engineVersion}`,
    precision: environment.precision,
    pare: environment.pare,
  };
  return Object.entries(values).flatMap(([key, value]) =>
    value === null || value === undefined
      ? []
      : [{ key: nameOf(key), value: (typeof value === "string" ? value : JSON.stringify(value)).slice(0, MAX_VALUE) }],
  );
}

/**
 * A cell's figures by name: the analysis's measures (`jsd/wikitext2`, with `/standardError`), task scores of both models
 * (`score/squad/f1/compressed`), what was compressed, and seconds by stage.
 */
export function metricsFor(cell: CellResult, analysed: CellAnalysis | undefined): Map<string, number> {
  const metrics = new Map<string, number>();
  const add = (value: number | null | undefined, ...path: string[]) => {
    if (typeof value === "number" && Number.isFinite(value)) metrics.set(nameOf(path.join("/")), value);
  };
  for (const [id, { value, standardError }] of Object.entries(analysed?.values ?? {})) {
    const path = id.split(":");
    add(value, ...path);
    add(standardError, ...path, "standardError");
  }
  for (const [source, { perplexity }] of Object.entries(cell.text)) {
    add(perplexity.base, "perplexity", source, "base");
    add(perplexity.compressed, "perplexity", source, "compressed");
  }
  for (const [task, summary] of Object.entries(cell.tasks)) {
    for (const [metric, { base, compressed, p }] of metricsOf(summary)) {
      add(base, "score", task, metric, "base");
      add(compressed, "score", task, metric, "compressed");
      add(p, "score", task, metric, "p");
    }
  }
  add(cell.compression.sparsity, "compression", "sparsity");
  add(cell.compression.bytes, "compression", "bytes");
  for (const [stage, seconds] of Object.entries(cell.seconds)) add(seconds, "seconds", stage);
  return metrics;
}

/** What MLflow takes for a name: letters, digits, `_ - . / ` and space. */
function nameOf(text: string): string {
  return text.replace(/[^\w\-./ ]/g, "_").slice(0, MAX_NAME);
}
