import * as Plot from "@observablehq/plot";
import type { CalibrationComparison } from "../../../analysis/analysis.js";
import { plain } from "../../format.js";
import type { ReportData } from "../../report-data.js";
import { Figure } from "../figure.js";
import { chart, decades, roundEnds, tickText } from "./chart.js";

const ROW = 20;

interface Pair {
  readonly name: string;
  readonly source: string;
  readonly a: number;
  readonly b: number;
}

/** Two calibration sources against each other: the same method and target, calibrated on one and on the other. */
export function CalibrationFigure({
  data,
  comparison,
  name,
}: {
  readonly data: ReportData;
  readonly comparison: CalibrationComparison;
  readonly name: string;
}) {
  const measures = data.measures.filter(({ kind }) => kind === "jsd" || kind === "taskJsd");
  const cells = new Map(data.cells.map((cell) => [cell.id, cell]));
  const pairs = comparison.pairs.flatMap(({ a, b }) => {
    const [first, second] = [cells.get(a), cells.get(b)];
    return measures.flatMap((measure): Pair[] => {
      const [x, y] = [first?.values[measure.id], second?.values[measure.id]];
      if (!first || !x || !y) return [];
      const label = first.name.split(" · ").filter((part) => part !== comparison.a);
      return [{ name: label.join(" · "), source: measure.title.replace(/^JSD on /, ""), a: x.value, b: y.value }];
    });
  });
  if (pairs.length === 0) return null;
  const sources = [...new Set(pairs.map(({ source }) => source))];
  const verdicts = comparison.measures
    .filter(({ measure }) => measures.some(({ id }) => id === measure))
    .map(({ measure, better, differences, p }) => {
      const title = data.measures.find(({ id }) => id === measure)?.title ?? measure;
      return `${title}: ${comparison.a} is better in ${better.a}, ${comparison.b} in ${better.b} of ${differences.length} pairs${p === null ? "" : ` (p ${p < 0.001 ? "< 0.001" : `= ${p.toFixed(3)}`})`}`;
    });
  return (
    <Figure
      name={name}
      title={`${data.study.models.length > 1 ? `${plain(comparison.model)}: c` : "C"}alibrated on ${plain(comparison.a)} or on ${plain(comparison.b)}?`}
      caption="JSD in nats of the same method and sparsity under both calibration sources, on each text; further left is closer to the base. p: paired permutation test over pairs, of which those that differ in the seed alone count as one."
      summary={plain(`${verdicts.join(". ")}. The numbers stand in the data table below.`)}
      data={{
        columns: ["model", "measured on", `calibrated on ${comparison.a}`, `calibrated on ${comparison.b}`],
        rows: pairs.map(({ name: label, source, a, b }) => [label, source, a, b]),
      }}
      draw={(width) => drawPairs(pairs, sources, comparison, width)}
      drawn={[data, comparison]}
    >
      <ul class="verdicts">
        {verdicts.map((verdict) => (
          <li key={verdict}>{plain(verdict)}</li>
        ))}
      </ul>
    </Figure>
  );
}

function drawPairs(
  pairs: readonly Pair[],
  sources: readonly string[],
  { a, b }: CalibrationComparison,
  width: number,
): SVGSVGElement {
  const names = [...new Set(pairs.map(({ name }) => name))];
  const isNarrow = width < 560;
  const facet = isNarrow ? { fy: "source" } : { fx: "source" };
  const longest = Math.max(...names.map((name) => name.length));
  const panel = ROW * names.length + 30;
  const left = Math.min(width * 0.4, 16 + 6.2 * longest);
  const shown = pairs.filter((pair) => pair.a > 0 && pair.b > 0);
  const domain = roundEnds(shown.flatMap((pair) => [pair.a, pair.b]));
  const titles = sources.map((source) => ({ source }));
  return chart({
    width,
    height: isNarrow ? panel * sources.length + 90 : panel + 90,
    marginLeft: left,
    marginTop: 52,
    marginBottom: 40,
    marginRight: 12,
    x: {
      type: "log",
      domain,
      label: "JSD (nats) →",
      grid: true,
      ticks: decades(domain, isNarrow ? 6 : Math.floor(width / sources.length / 40)),
      tickFormat: tickText,
    },
    y: { domain: names, label: null, tickSize: 0, tickFormat: (name: string) => plain(name) },
    fx: { domain: sources, axis: null, padding: 0.06 },
    fy: { domain: sources, axis: null, padding: 0.12 },
    marks: [
      Plot.ruleY(shown, { ...facet, y: "name", x1: "a", x2: "b", stroke: "var(--muted)", strokeWidth: 1.25 }),
      Plot.dot(shown, { ...facet, y: "name", x: "a", fill: "var(--series-1)", r: 4 }),
      Plot.dot(shown, { ...facet, y: "name", x: "b", fill: "var(--series-2)", r: 4, symbol: "square2" }),
      Plot.text(titles, {
        ...facet,
        frameAnchor: "top-left",
        lineAnchor: "bottom",
        dy: -4,
        // In ems of 10 pixels: many texts are many narrow panels.
        lineWidth: (isNarrow ? width - left : (width - left) / sources.length) / 10 - 1,
        text: ({ source }) => `on ${plain(source)}`,
        textAnchor: "start",
        fontWeight: 600,
      }),
      Plot.dot(titles.slice(0, 1), {
        ...facet,
        frameAnchor: "top-left",
        dx: 4,
        dy: -34,
        fill: "var(--series-1)",
        r: 4,
      }),
      Plot.text(titles.slice(0, 1), {
        ...facet,
        frameAnchor: "top-left",
        dx: 12,
        dy: -34,
        lineAnchor: "middle",
        text: () => plain(a),
        textAnchor: "start",
        fill: "var(--series-1)",
        fontWeight: 600,
      }),
      Plot.dot(titles.slice(0, 1), {
        ...facet,
        frameAnchor: "top-left",
        dx: 30 + 7 * a.length,
        dy: -34,
        fill: "var(--series-2)",
        r: 4,
        symbol: "square2",
      }),
      Plot.text(titles.slice(0, 1), {
        ...facet,
        frameAnchor: "top-left",
        dx: 38 + 7 * a.length,
        dy: -34,
        lineAnchor: "middle",
        text: () => plain(b),
        textAnchor: "start",
        fill: "var(--series-2)",
        fontWeight: 600,
      }),
    ],
    color: { type: "identity" },
  });
}
