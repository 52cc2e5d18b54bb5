import { intervalText, measured, plain } from "../format.js";
import type { ReportCell, ReportData } from "../report-data.js";
import { budgetText } from "./budget.js";
import { Literal } from "./literal.js";

/** The answer to the reader's first question: which compressed model may be shipped, and what it costs. */
export function Verdict({ data, source }: { readonly data: ReportData; readonly source: string }) {
  return (
    <>
      {(data.budget ?? []).map(({ model, budget, best, within }) => {
        const cell = data.cells.find(({ id }) => id === best);
        return (
          <section key={model} class="verdict" aria-label={`Best model within the budget, ${plain(model)}`}>
            <p class="verdict-lead">
              {cell ? "Sparsest model within the budget" : "No model is within the budget"}
              {data.study.models.length > 1 && <> ({plain(model)})</>}
              <span class="muted"> {budgetText(budget)}</span>
            </p>
            {cell && (
              <>
                <p class="verdict-name">
                  <Literal text={cell.name} />
                </p>
                <Costs data={data} cell={cell} source={source} />
                {within.find((one) => one.cell === best)?.sure === false && (
                  <p class="note">Its intervals reach beyond the budget: more windows or items would tell.</p>
                )}
              </>
            )}
          </section>
        );
      })}
    </>
  );
}

/** A cell's main figures. */
function Costs({
  data,
  cell,
  source,
}: {
  readonly data: ReportData;
  readonly cell: ReportCell;
  readonly source: string;
}) {
  const shown = [`jsd:${source}`, `perplexityRatio:${source}`, `top1Changed:${source}`, "overallTaskLoss"];
  return (
    <dl class="costs">
      {data.measures
        .filter(({ id }) => shown.includes(id))
        .map((measure) => {
          const value = cell.values[measure.id];
          return (
            value && (
              <div key={measure.id}>
                <dt>{plain(measure.title)}</dt>
                <dd>
                  <strong>{measured(measure.unit, value.value)}</strong>
                  {measure.unit === "nats" && " nats"}
                  <small>{intervalText(measure.unit, value.interval)}</small>
                </dd>
              </div>
            )
          );
        })}
    </dl>
  );
}
