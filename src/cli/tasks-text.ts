import type { TaskRecord } from "../task-evaluation/evaluate-tasks.js";
import {
  divergentTokensOf,
  type MetricSummary,
  metricsOf,
  type TaskSummary,
  textOf,
} from "../task-evaluation/summary.js";
import { table } from "../text/table.js";
import { count, percent, plural, plusMinus } from "./format.js";

type Tasks = Readonly<Record<string, TaskSummary>>;

/** Every task's metrics, base against compressed, divergences on the tasks' own text, and how the models were asked. */
export function describeTasks(tasks: Tasks, records: Readonly<Record<string, TaskRecord>>): string {
  const metrics = Object.entries(tasks).flatMap(([task, summary]) =>
    metricsOf(summary).map(([metric, figures], i) => ({ names: [i === 0 ? task : "", metric], figures })),
  );
  const compared = metrics.some(({ figures }) => figures.base !== null);
  const parts = compared
    ? comparedParts(metrics, tasks)
    : [
        table(
          [
            ["task", "metric", "score", "95% interval"],
            ...metrics.map(({ names, figures }) => [
              ...names,
              score(figures.compressed),
              interval(figures.compressedInterval),
            ]),
          ],
          [0, 1],
        ),
      ];
  const asked = Object.entries(records).map(([task, record]) => howAsked(task, record, tasks[task]));
  return [...parts, asked.join("\n")].join("\n\n");
}

interface NamedMetric {
  readonly names: readonly string[];
  readonly figures: MetricSummary;
}

function comparedParts(metrics: readonly NamedMetric[], tasks: Tasks): string[] {
  const several = Object.keys(tasks).length > 1;
  const isBinary = metrics.some(({ figures }) => figures.flips !== null);
  const rows = metrics.map(({ names, figures }) => [
    ...names,
    score(figures.base),
    score(figures.compressed),
    `${signed(figures.difference)} (${interval(figures.interval)})`,
    probability(figures.p),
    ...(several ? [figures.pHolm === null ? "" : probability(figures.pHolm)] : []),
    ...(isBinary ? [flips(figures.flips)] : []),
  ]);
  const head = ["task", "metric", "base", "compressed", "difference (95% interval)", "p"];
  if (several) head.push("p (Holm)");
  if (isBinary) head.push("flips");

  const notes = ["difference: compressed - base, on the same items"];
  const permuted = metrics.some(({ figures }) => figures.flips === null);
  const tests = [...(isBinary ? ["McNemar's exact test"] : []), ...(permuted ? ["the paired permutation test"] : [])];
  notes.push(`p: of no difference, by ${tests.join(" for 0/1 scores, else by ")}`);
  if (several) notes.push(`p (Holm): of each task's first metric, adjusted for ${Object.keys(tasks).length} tasks`);
  if (isBinary) notes.push("flips: items that the base has right and the compressed model wrong / the reverse");
  const parts = [table([head, ...rows], [0, 1]), notes.join("\n")];

  const text = textRows(tasks);
  if (text.length > 1) {
    parts.push(
      `${table(text, [0, 1])}`,
      "divergences in nats, over every token of the text; ± is a standard error clustered by item",
    );
  }
  return parts;
}

function textRows(tasks: Tasks): string[][] {
  const rows = [["task", "text", "tokens", "JSD", "KL(base‖compressed)", "perplexity ratio", "same top-1"]];
  for (const [task, summary] of Object.entries(tasks)) {
    let name = task;
    for (const [which, title] of [
      ["targetText", "references"],
      ["answerText", "base's answers"],
    ] as const) {
      const text = textOf(summary, which);
      if (!text) continue;
      rows.push([
        name,
        title,
        count(text.tokens),
        plusMinus(text.jsd.mean, text.jsd.standardError),
        plusMinus(text.kl.mean, text.kl.standardError),
        plusMinus(text.perplexity.ratio, text.perplexity.ratioStandardError),
        text.sameTop1.mean === null ? "-" : percent(text.sameTop1.mean),
      ]);
      name = "";
    }
  }
  return rows;
}

/** How a task's items were put to the models, and where the generated answers part, in one line each. */
function howAsked(task: string, record: TaskRecord, summary: TaskSummary | undefined): string {
  const how = [
    plural(record.items, "item"),
    plural(record.fewShot, "example"),
    record.chat ? "chat template" : "no chat template",
    record.bos === "none" ? "no BOS" : `BOS by the ${record.bos}`,
  ];
  if (record.sampling) how.push(`drawn at temperature ${record.sampling.temperature}`);
  const lines = [`${task} (version ${record.version}): ${how.join(", ")}`];
  if (record.truncated > 0) {
    lines.push(`  ${plural(record.truncated, "prompt")} cut from the left to fit the model`);
  }
  const divergent = summary && divergentTokensOf(summary);
  if (divergent) {
    const others = divergent.median === null ? "" : `; the others part after ${divergent.median} equal tokens (median)`;
    lines.push(`  both models' answers are the same for ${percent(divergent.same, 1)} of the items${others}`);
  }
  return lines.join("\n");
}

const score = (value: number | null): string => (value === null ? "-" : value.toFixed(4));
const signed = (value: number | null): string => (value === null ? "-" : `${value > 0 ? "+" : ""}${value.toFixed(4)}`);
/** Equal scores resample to equal means: that is no interval. */
const interval = (range: readonly [number, number] | null): string =>
  range && range[0] < range[1] ? `${range[0].toFixed(3)} to ${range[1].toFixed(3)}` : "-";
const probability = (p: number | null): string => (p === null ? "-" : p < 1e-4 ? "<0.0001" : p.toFixed(4));
const flips = (items: MetricSummary["flips"]): string =>
  items ? `${count(items.rightToWrong)} / ${count(items.wrongToRight)}` : "";
