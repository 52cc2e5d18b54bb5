import { z } from "zod";
import { isObject } from "../checkpoint/json.js";
import { InputError } from "../errors.js";
import type { Budget, BudgetChoice, Measure } from "./analysis.js";
import type { LabelledCell } from "./cells.js";
import { groupBy, sparsityOf } from "./labels.js";

const limit = z.number().positive().nullish();

/** A study's budget as its definition has it; what is null limits nothing. */
const budgetSchema = z.strictObject({
  jsd: limit,
  taskLoss: limit,
  perplexityRatio: z.number().min(1).nullish(),
});

/** The budget that a study's definition names; undefined for none. Throws InputError for one that is none. */
export function budgetOf(definition: unknown): Budget | undefined {
  const given = isObject(definition) ? definition["budget"] : undefined;
  if (given === undefined || given === null) return undefined;
  const parsed = budgetSchema.safeParse(given);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const key = ["definition.budget", ...issue!.path].join(".");
    throw new InputError(`study.json: ${key}: ${issue!.message}; write the file anew by running the study again`);
  }
  const { jsd, taskLoss, perplexityRatio } = parsed.data;
  const budget: Budget = {
    ...(isNumber(jsd) ? { jsd } : {}),
    ...(isNumber(taskLoss) ? { taskLoss } : {}),
    ...(isNumber(perplexityRatio) ? { perplexityRatio } : {}),
  };
  return Object.keys(budget).length === 0 ? undefined : budget;
}

function isNumber(value: number | null | undefined): value is number {
  return typeof value === "number";
}

const KINDS = { jsd: "jsd", taskLoss: "overallTaskLoss", perplexityRatio: "perplexityRatio" } as const;

/** The sparsest cell of every model that stays within the budget: by its figures, and by their intervals' upper ends. */
export function chooseWithin(
  cells: readonly LabelledCell[],
  measures: readonly Measure[],
  budget: Budget,
): BudgetChoice[] {
  return groupBy(cells, ({ label }) => label.model).map((own) => {
    const within = own
      .flatMap(({ analysis, label }) => {
        // What is not finite is in no figure.
        if (analysis.nonFinite > 0) return [];
        const used = shareUsed(analysis.values, measures, budget);
        return used && used.value <= 1 ? [{ analysis, sparsity: sparsityOf(label), used }] : [];
      })
      .sort((a, b) => b.sparsity - a.sparsity || a.used.value - b.used.value);
    return {
      model: own[0]!.label.model,
      budget,
      best: within[0]?.analysis.id ?? null,
      within: within.map(({ analysis, used }) => ({
        cell: analysis.id,
        used: Math.max(0, used.value),
        sure: used.upper !== null && used.upper <= 1,
      })),
    };
  });
}

/** Largest share of a limit that a cell uses; undefined for one that lacks a figure which the budget names. */
function shareUsed(values: LabelledCell["analysis"]["values"], measures: readonly Measure[], budget: Budget) {
  let value = Number.NEGATIVE_INFINITY;
  let upper: number | null = Number.NEGATIVE_INFINITY;
  for (const name of ["jsd", "taskLoss", "perplexityRatio"] as const) {
    const limit = budget[name];
    if (limit === undefined) continue;
    const own = measures.filter(({ kind, id }) => kind === KINDS[name] && id in values);
    if (own.length === 0) return undefined;
    for (const { id } of own) {
      const figure = values[id]!;
      // A ratio of 1 costs nothing: what a limit of 1.05 allows is the 0.05.
      const share = (cost: number) => (name === "perplexityRatio" ? overOne(cost, limit) : cost / limit);
      value = Math.max(value, share(figure.value));
      upper = figure.interval && upper !== null ? Math.max(upper, share(figure.interval[1])) : null;
    }
  }
  return { value, upper };
}

function overOne(ratio: number, limit: number): number {
  if (ratio <= 1) return 0;
  return limit === 1 ? Number.POSITIVE_INFINITY : (ratio - 1) / (limit - 1);
}
