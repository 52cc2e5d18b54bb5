import { type CellAnalysis, type Finding, HARMLESS_RATIO, type Measure, type StudyAnalysis } from "./analysis.js";
import type { LabelledCell } from "./cells.js";
import { blocks, calibrations, firstMoved, seeds } from "./details.js";
import { groupBy, sparsityOf, targetText } from "./labels.js";
import { isWorse, OVERALL } from "./measures.js";
import { few, figure, listed, percent, plural, range, withInterval } from "./numbers.js";
import { warningsOf } from "./warnings.js";

type Analysis = Omit<StudyAnalysis, "findings">;

/** Cells named in one sentence. */
const MOST_NAMED = 5;

/** What the figures say, in plain sentences: what matters most first, warnings last. */
export function findingsOf(analysis: Analysis, cells: readonly LabelledCell[]): Finding[] {
  return [
    ...headlines(analysis, cells),
    ...budgets(analysis),
    ...misleading(analysis),
    ...methods(analysis, cells),
    ...firstMoved(analysis),
    ...agreements(analysis),
    ...calibrations(analysis),
    ...blocks(analysis, cells),
    ...seeds(analysis, cells),
    ...warningsOf(analysis, cells),
  ];
}

/** How far one may go without losing task score that can be told from chance. */
function headlines({ measures }: Analysis, cells: readonly LabelledCell[]): Finding[] {
  const losses = measures.filter(({ kind }) => kind === "taskLoss" || kind === OVERALL);
  return groupBy(cells, ({ label }) => label.model).flatMap((own) => {
    const judged = own.filter(({ analysis }) => OVERALL in analysis.values);
    if (judged.length === 0) return [];
    const { model } = own[0]!.label;
    const unharmed = judged
      .filter(({ analysis: { values } }) =>
        losses.every((measure) => !values[measure.id] || !isWorse(measure, values[measure.id]!)),
      )
      .sort((a, b) => sparsityOf(b.label) - sparsityOf(a.label) || lossOf(a.analysis) - lossOf(b.analysis));
    const [best] = unharmed;
    const text = best
      ? `In ${unharmed.length} of ${plural(judged.length, "compressed model")} of ${model} no loss of task score can be told from chance; the sparsest of them is ${best.analysis.name}, with an overall task loss of ${loss(best.analysis, measures)}.`
      : `Every one of ${plural(judged.length, "compressed model")} of ${model} loses task score beyond chance; the least is lost by ${least(judged).name}: ${loss(least(judged), measures)}.`;
    return [{ kind: "headline", severity: "finding", text, cells: best ? [best.analysis.id] : [least(judged).id] }];
  });
}

function lossOf({ values }: CellAnalysis): number {
  return values[OVERALL]!.value;
}

function least(cells: readonly LabelledCell[]): CellAnalysis {
  return cells.map(({ analysis }) => analysis).reduce((a, b) => (lossOf(b) < lossOf(a) ? b : a));
}

function loss({ values }: CellAnalysis, measures: readonly Measure[]): string {
  return withInterval(measures.find(({ id }) => id === OVERALL)!, values[OVERALL]!);
}

function budgets({ budget, cells }: Analysis): Finding[] {
  return (budget ?? []).map(({ model, budget, best, within }) => {
    const limits = listed([
      ...(budget.jsd === undefined ? [] : [`JSD ${figure(budget.jsd)} nats`]),
      ...(budget.taskLoss === undefined ? [] : [`task loss ${percent(budget.taskLoss)}`]),
      ...(budget.perplexityRatio === undefined ? [] : [`perplexity ratio ${figure(budget.perplexityRatio)}`]),
    ]);
    const chosen = within.find(({ cell }) => cell === best);
    if (!chosen) {
      return {
        kind: "budget",
        severity: "serious",
        text: `No cell of ${model} is within the budget of ${limits}.`,
        cells: [],
      };
    }
    const name = nameOf(cells, chosen.cell);
    const sure = within.find((cell) => cell.sure);
    const doubt = chosen.sure
      ? "its intervals are within as well"
      : `its intervals reach beyond it${sure ? `; the sparsest cell whose intervals do not is ${nameOf(cells, sure.cell)}` : ""}`;
    return {
      kind: "budget",
      severity: "finding",
      text: `Within the budget of ${limits}, the sparsest cell of ${model} is ${name}, which uses ${percent(chosen.used)} of it; ${doubt}.`,
      cells: [chosen.cell],
    };
  });
}

function misleading({ cells, measures }: Analysis): Finding[] {
  const misled = cells.filter(({ perplexityMisleads }) => perplexityMisleads);
  if (misled.length === 0) return [];
  const losses = measures.filter(({ kind }) => kind === "taskLoss" || kind === OVERALL);
  const ratios = measures.filter(({ kind }) => kind === "perplexityRatio");
  const described = misled.map(({ name, values }) => {
    const worst = losses
      .filter((measure) => values[measure.id] && isWorse(measure, values[measure.id]!))
      .reduce((a, b) => (values[b.id]!.value > values[a.id]!.value ? b : a));
    const highest = Math.max(...ratios.flatMap(({ id }) => values[id]?.value ?? []));
    const ratio = `perplexity ratio ${ratios.length > 1 ? "at most " : ""}${figure(highest)}`;
    return `${name} (${ratio}, ${worst.title} ${withInterval(worst, values[worst.id]!)})`;
  });
  return [
    {
      kind: "perplexity-misleads",
      severity: "serious",
      text: `Perplexity lies here: below ${HARMLESS_RATIO} times the base's it looks harmless, but task score is lost beyond chance in ${few(described, MOST_NAMED)}. Every cell is tested on its own: of unharmed ones, chance alone would name a few in a hundred.`,
      cells: misled.map(({ id }) => id),
    },
  ];
}

/** At every sparsity that several methods reach, which stays closest to the base. */
function methods({ measures, curves }: Analysis, cells: readonly LabelledCell[]): Finding[] {
  const measure = measures.find(({ kind }) => kind === "jsd");
  if (!measure) return [];
  const points = curves.flatMap(({ model, method, calibration, name, points }) =>
    points.flatMap((point) => {
      const figure = point.values[measure.id];
      const { label } = cells.find(({ analysis }) => analysis.id === point.cells[0])!;
      return figure ? [{ model, method, calibration, name, target: targetText(label), figure, point }] : [];
    }),
  );
  return groupBy(points, ({ model, target }) => JSON.stringify([model, target])).flatMap((group) => {
    const ranked = group.toSorted((a, b) => a.figure.value - b.figure.value);
    const [first, second] = ranked;
    if (!first || !second || new Set(group.map(({ method }) => method)).size < 2) return [];
    const overlap =
      first.figure.interval && second.figure.interval && first.figure.interval[1] >= second.figure.interval[0];
    const text = `At ${first.target}, ${first.name} stays closest to the base: ${measure.title} ${withInterval(measure, first.figure)}; then ${few(
      ranked.slice(1).map(({ name, figure }) => `${name} ${withInterval(measure, figure)}`),
      MOST_NAMED,
    )}.${overlap ? " The intervals of the first two overlap." : ""}`;
    return [{ kind: "method", severity: "finding", text, cells: ranked.flatMap(({ point }) => point.cells) }];
  });
}

/** Whether perplexity or divergence tells the truth about tasks here. */
function agreements({ agreement }: Analysis): Finding[] {
  return agreement.flatMap(({ model, cells, measures, jsdAgainstPerplexity }) => {
    const told = measures
      .filter(({ kendall }) => kendall.value !== null)
      .toSorted((a, b) => b.kendall.value! - a.kendall.value!)
      .map(
        ({ title, kendall }) =>
          `${title} ${figure(kendall.value!)}${kendall.interval ? ` ${range(kendall.interval)}` : ""}`,
      );
    if (told.length === 0) return [];
    const compared = jsdAgainstPerplexity.map(({ source, difference, interval }) => {
      const which =
        difference > 0 ? "JSD ranks better than the perplexity ratio" : "the perplexity ratio ranks better than JSD";
      if (difference === 0) return `On ${source}, JSD and the perplexity ratio rank equally well.`;
      const isNoise = !interval || (interval[0] <= 0 && interval[1] >= 0);
      return `On ${source}, ${which} by ${figure(Math.abs(difference))}${isNoise ? ", which may be chance" : ", beyond chance"}.`;
    });
    const text = `Over ${plural(cells, "cell")} of ${model}, agreement with the overall task loss in ranks (Kendall's tau): ${told.join(", ")}. ${compared.join(" ")}`;
    return [{ kind: "agreement", severity: "finding", text: text.trim(), cells: [] }];
  });
}

function nameOf(cells: readonly CellAnalysis[], id: string): string {
  return cells.find((cell) => cell.id === id)!.name;
}
