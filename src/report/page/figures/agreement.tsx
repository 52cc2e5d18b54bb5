import * as Plot from "@observablehq/plot";
import type { Agreement, MeasureAgreement } from "../../../analysis/analysis.js";
import { plain } from "../../format.js";
import { Figure } from "../figure.js";
import { chart } from "./chart.js";

const ROW = 30;

/** How well each measure ranks the compressed models as the tasks do. */
export function AgreementFigure({ agreement, name }: { readonly agreement: Agreement; readonly name: string }) {
  const rows = agreement.measures
    .filter(({ kendall }) => kendall.value !== null)
    .toSorted((a, b) => b.kendall.value! - a.kendall.value!);
  if (rows.length === 0) return null;
  const best = rows[0]!;
  return (
    <Figure
      name={name}
      title="Which measure ranks the models as the tasks do?"
      caption={`Rank correlation of each measure with the overall task loss over ${agreement.cells} models of ${plain(agreement.model)}: Kendall's τ (filled) and Spearman's ρ (hollow), with 95% bootstrap intervals. 1: the same order; 0: no relation.`}
      summary={`${plain(best.title)} agrees best with the tasks: Kendall's tau ${best.kendall.value!.toFixed(2)}. The numbers stand in the data table below.`}
      data={{
        columns: ["measure", "Kendall τ", "95% low", "95% high", "Spearman ρ", "95% low", "95% high", "models"],
        rows: rows.map(({ title, kendall, spearman }) => [
          title,
          kendall.value,
          kendall.interval?.[0] ?? null,
          kendall.interval?.[1] ?? null,
          spearman.value,
          spearman.interval?.[0] ?? null,
          spearman.interval?.[1] ?? null,
          kendall.n,
        ]),
      }}
      draw={(width) => drawAgreement(rows, width)}
      drawn={[agreement]}
    />
  );
}

function drawAgreement(rows: readonly MeasureAgreement[], width: number): SVGSVGElement {
  const values = rows.flatMap(({ kendall, spearman }) =>
    [kendall, spearman].flatMap(({ value, interval }) => [value ?? 0, ...(interval ?? [])]),
  );
  const title = ({ title }: MeasureAgreement) => plain(title);
  const longest = Math.max(...rows.map((row) => title(row).length));
  const marks = (["kendall", "spearman"] as const).flatMap((which) => {
    const dy = which === "kendall" ? -5 : 5;
    const known = rows.filter((row) => row[which].value !== null);
    const isFilled = which === "kendall";
    return [
      Plot.ruleY(
        known.filter((row) => row[which].interval),
        {
          y: title,
          x1: (row: MeasureAgreement) => row[which].interval![0],
          x2: (row: MeasureAgreement) => row[which].interval![1],
          dy,
          stroke: "var(--series-1)",
          strokeOpacity: isFilled ? 1 : 0.55,
          strokeWidth: 1.5,
        },
      ),
      Plot.dot(known, {
        y: title,
        x: (row: MeasureAgreement) => row[which].value,
        dy,
        r: 4,
        fill: isFilled ? "var(--series-1)" : "var(--surface)",
        stroke: "var(--series-1)",
        strokeWidth: 1.5,
      }),
    ];
  });
  return chart({
    width,
    height: ROW * rows.length + 60,
    marginLeft: Math.min(width * 0.56, 12 + 6.1 * longest),
    marginTop: 10,
    marginBottom: 40,
    marginRight: 56,
    x: { domain: [Math.min(0, ...values), 1], label: "Rank correlation with task loss →", grid: true, ticks: 6 },
    y: { domain: rows.map(title), label: null, tickSize: 0 },
    marks: [
      Plot.ruleX([0], { stroke: "var(--muted)" }),
      ...marks,
      Plot.text(rows, {
        y: title,
        frameAnchor: "right",
        dx: 8,
        textAnchor: "start",
        text: (row: MeasureAgreement) => `τ ${row.kendall.value!.toFixed(2)}`,
      }),
    ],
    color: { type: "identity" },
  });
}
