import { Document, parseDocument } from "yaml";
import { InputError } from "../errors.js";
import { type MetricSummary, metricsOf } from "../task-evaluation/summary.js";
import { oneLine } from "../text/one-line.js";
import { COSTS_HEADING } from "./compression-record.js";
import type { CellResult, TextResult } from "./study-results.js";

/** A result as the Hugging Face hub's `model-index` has it: https://huggingface.co/docs/hub/model-cards#evaluation-results */
interface IndexResult {
  readonly task: { readonly type: string; readonly name: string };
  readonly dataset: { readonly type: string; readonly name: string; readonly split?: string };
  readonly metrics: readonly IndexMetric[];
}

interface IndexMetric {
  readonly type: string;
  readonly name: string;
  readonly value: number;
}

const FRONT_MATTER = /^---\r?\n([\s\S]*?)\r?\n---\r?\n/;

/**
 * A compressed checkpoint's model card with what was measured on it: `model-index` in its front matter, for the hub, and a
 * table in place of what the card said of its costs. Done twice, it is the same as done once. `path` names the card in
 * errors. Throws InputError for front matter that is no YAML mapping.
 */
export function withFigures(card: string, path: string, name: string, cell: CellResult): string {
  const found = FRONT_MATTER.exec(card);
  const front = found ? parseDocument(found[1]!, { prettyErrors: false }) : new Document({});
  const [problem] = front.errors;
  if (problem) throw new InputError(`${path}: the lines between --- are not valid YAML: ${oneLine(problem)}`);
  const results = indexResults(cell);
  try {
    front.set("model-index", [{ name, results }]);
  } catch (cause) {
    throw new InputError(`${path}: the lines between --- are no keys with values`, { cause });
  }
  const body = found ? card.slice(found[0].length) : `\n${card}`;
  return `---\n${front.toString({ lineWidth: 0 })}---\n${withCosts(body, cell)}`;
}

function indexResults(cell: CellResult): IndexResult[] {
  return [
    ...Object.entries(cell.text).map(([source, text]) => ({
      task: { type: "text-generation", name: "Language modeling" },
      dataset: datasetOf(source, text.data.split),
      metrics: textMetrics(text),
    })),
    ...Object.entries(cell.tasks).map(([task, summary]) => ({
      task:
        cell.taskRecords[task]?.kind === "choice"
          ? { type: "multiple-choice", name: "Multiple choice" }
          : { type: "text-generation", name: "Text generation" },
      dataset: datasetOf(task, null),
      metrics: metricsOf(summary).flatMap(([metric, figures]) => taskMetrics(metric, figures)),
    })),
  ].filter(({ metrics }) => metrics.length > 0);
}

/** The hub takes names of data sets made of letters, digits, `_`, `.` and `-`. */
function datasetOf(name: string, split: string | null): IndexResult["dataset"] {
  return { type: name.replace(/[^\w.-]+/g, "-"), name, ...(split === null ? {} : { split }) };
}

function textMetrics({ perplexity, jsd, kl, sameTop1 }: TextResult): IndexMetric[] {
  return known([
    ["perplexity", "Perplexity", perplexity.compressed],
    ["perplexity_base", "Perplexity of the base model", perplexity.base],
    ["perplexity_ratio", "Perplexity, compressed / base", perplexity.ratio],
    ["jsd", "Jensen-Shannon divergence from the base model, nats", jsd.mean],
    ["kl", "KL(base‖compressed), nats", kl.mean],
    ["same_top1", "Share of positions with the base model's likeliest token", sameTop1.mean],
  ]);
}

function taskMetrics(metric: string, { base, compressed, difference }: MetricSummary): IndexMetric[] {
  return known([
    [metric, metric, compressed],
    [`${metric}_base`, `${metric} of the base model`, base],
    [`${metric}_difference`, `${metric}, compressed - base`, difference],
  ]);
}

function known(metrics: readonly (readonly [type: string, name: string, value: number | null])[]): IndexMetric[] {
  return metrics.flatMap(([type, name, value]) => (value === null ? [] : [{ type, name, value }]));
}

function withCosts(body: string, cell: CellResult): string {
  const at = body.indexOf(`\n${COSTS_HEADING}\n`);
  const before = at < 0 ? body.trimEnd() : body.slice(0, at).trimEnd();
  return `${before}\n\n${COSTS_HEADING}\n\n${costs(cell)}\n`;
}

function costs({ text, tasks }: CellResult): string {
  const rows = [
    ...Object.entries(text).flatMap(([source, { perplexity, jsd, sameTop1 }]) => [
      [source, "perplexity", number(perplexity.base), number(perplexity.compressed)],
      [source, "Jensen-Shannon divergence, nats", "0", number(jsd.mean)],
      [source, "same likeliest token", "1", number(sameTop1.mean)],
    ]),
    ...Object.entries(tasks).flatMap(([task, summary]) =>
      metricsOf(summary).map(([metric, { base, compressed, interval }]) => {
        const difference = interval ? ` (difference ${number(interval[0])} to ${number(interval[1])})` : "";
        return [task, metric, number(base), `${number(compressed)}${difference}`];
      }),
    ),
  ];
  const table = [["measured on", "figure", "base", "compressed"], ["---", "---", "---", "---"], ...rows]
    .map((row) => `| ${row.map(cellText).join(" | ")} |`)
    .join("\n");
  return `Against the base model; differences are 95% intervals on the same items.\n\n${table}`;
}

/** One table cell: text that would end it, or read as markup, is escaped. */
function cellText(text: string): string {
  return oneLine(text).replace(/[\\|<>[\]`*]/g, "\\$&");
}

function number(value: number | null): string {
  return value === null ? "-" : String(Number(value.toPrecision(4)));
}
