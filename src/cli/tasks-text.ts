import type { TaskRecord } from "../task-evaluation/evaluate-tasks.js";
import { type MetricSummary, metricsOf, type TaskSummary, textOf } from "../task-evaluation/summary.js";
import { count, figure, percent, plural, plusMinus, table } from "./format.js";

type Tasks = Readonly<Record<string, TaskSummary>>;

/** Every task's metrics, base against compressed, divergences on the tasks' own text, and how the models were asked. */
export function describeTasks(tasks: Tasks, records: Readonly<Record<string, TaskRecord>>): string {
  const metrics = Object.entries(tasks).flatMap(([task, summary]) =>
    metricsOf(summary).map(([metric, figures], i) => ({ names: [i === 0 ? task : "", metric], figures })),
  );
  const compared = metrics.some(({ figures }) => figures.base !== null);
  const head = compared
    ? ["base", "compressed", "difference", "95% interval", "p", "p (Holm)", "right to wrong", "wrong to right"]
    : ["score", "95% interval"];
  const rows = metrics.map(({ names, figures }) => [
    ...names,
    count(figures.items),
    ...(compared ? comparedCells(figures) : [score(figures.compressed), interval(figures.compressedInterval)]),
  ]);
  const parts = [table([["task", "metric", "items", ...head], ...rows], [0, 1])];
  const text = textRows(tasks);
  if (text.length > 1) {
    parts.push(
      table(text, [0, 1]),
      "± is a standard error clustered by item; p is of no difference on the same items, by McNemar's exact test for 0/1 scores, else by permutation.",
    );
  }
  parts.push(Object.entries(records).map(asked).join("\n"));
  return parts.join("\n\n");
}

function comparedCells(figures: MetricSummary): string[] {
  return [
    score(figures.base),
    score(figures.compressed),
    signed(figures.difference),
    interval(figures.interval),
    figure(figures.p),
    figures.pHolm === null ? "" : figure(figures.pHolm),
    figures.flips ? count(figures.flips.rightToWrong) : "",
    figures.flips ? count(figures.flips.wrongToRight) : "",
  ];
}

function textRows(tasks: Tasks): string[][] {
  const rows = [
    ["task", "on the text of", "tokens", "JSD (nats)", "KL(base‖compressed)", "perplexity ratio", "same top-1"],
  ];
  for (const [task, summary] of Object.entries(tasks)) {
    for (const [which, name] of [
      ["targetText", "the references"],
      ["answerText", "the base's answers"],
    ] as const) {
      const text = textOf(summary, which);
      if (!text) continue;
      rows.push([
        task,
        name,
        count(text.tokens),
        plusMinus(text.jsd.mean, text.jsd.standardError),
        plusMinus(text.kl.mean, text.kl.standardError),
        plusMinus(text.perplexity.ratio, text.perplexity.ratioStandardError),
        text.sameTop1.mean === null ? "-" : percent(text.sameTop1.mean),
      ]);
    }
  }
  return rows;
}

/** How a task's items were put to the models, in one line. */
function asked([task, record]: [string, TaskRecord]): string {
  const how = [
    `${plural(record.fewShot, "example")}`,
    record.chat ? "chat template" : "no chat template",
    record.bos === "none" ? "no BOS" : `BOS by the ${record.bos}`,
  ];
  if (record.truncated > 0) how.push(`${plural(record.truncated, "prompt")} cut from the left to fit the model`);
  return `${task} (version ${record.version}): ${how.join(", ")}`;
}

const score = (value: number | null): string => (value === null ? "-" : value.toFixed(4));
const signed = (value: number | null): string => (value === null ? "-" : `${value > 0 ? "+" : ""}${value.toFixed(4)}`);
const interval = (range: readonly [number, number] | null): string =>
  range ? `${range[0].toFixed(3)} to ${range[1].toFixed(3)}` : "-";
