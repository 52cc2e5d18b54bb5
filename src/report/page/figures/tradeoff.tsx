import * as Plot from "@observablehq/plot";
import { HARMLESS_RATIO, type MeasureValue } from "../../../analysis/analysis.js";
import { intervalText, measured, percent, plain, short } from "../../format.js";
import type { ReportCell, ReportData } from "../../report-data.js";
import { Figure } from "../figure.js";
import { chart, seriesSymbol, tickText } from "./chart.js";

const HEIGHT = 380;
const LEGEND_ROW = 17;
/** Beside the name of the axis. */
const LEGEND_LEFT = 64;
const MARGIN = { left: 56, right: 16 };
/** Bounds of the colours, nats. */
const STEPS = [0.005, 0.02, 0.05, 0.15];

interface Point {
  readonly cell: ReportCell;
  readonly ratio: MeasureValue;
  readonly loss: MeasureValue;
  readonly jsd: number | null;
}

/** Where perplexity lies: perplexity ratio against task loss, with the divergence as colour. */
export function TradeoffFigure({ data, source }: { readonly data: ReportData; readonly source: string }) {
  const points = data.cells.flatMap((cell): Point[] => {
    const ratio = cell.values[`perplexityRatio:${source}`];
    const loss = cell.values["overallTaskLoss"];
    return ratio && loss ? [{ cell, ratio, loss, jsd: cell.values[`jsd:${source}`]?.value ?? null }] : [];
  });
  if (points.length === 0) return null;
  const methods = [...new Set(data.cells.map(({ method }) => method))];
  const misleading = points.filter(({ cell }) => cell.perplexityMisleads);
  return (
    <Figure
      name="perplexity-against-tasks"
      title={`Where perplexity lies: perplexity on ${plain(source)} against task loss`}
      caption={`Task loss is the mean share of the base's scores that is lost, in percent; bars are 95% intervals. Colour is the JSD in nats. Ringed: perplexity looks fine (ratio below ${HARMLESS_RATIO}), yet a task's loss is significant.`}
      summary={`${points.length} models; of ${misleading.length} perplexity looks fine while tasks are lost${misleading.length > 0 ? `: ${misleading.map(({ cell }) => cell.name).join(", ")}` : ""}. The numbers stand in the data table below.`}
      data={{
        columns: [
          "model",
          "perplexity ratio",
          "95% low",
          "95% high",
          "task loss",
          "95% low",
          "95% high",
          "JSD (nats)",
          "perplexity misleads",
        ],
        rows: points.map(({ cell, ratio, loss, jsd }) => [
          cell.name,
          ratio.value,
          ratio.interval?.[0] ?? null,
          ratio.interval?.[1] ?? null,
          loss.value,
          loss.interval?.[0] ?? null,
          loss.interval?.[1] ?? null,
          jsd,
          cell.perplexityMisleads ? "yes" : "no",
        ]),
      }}
      draw={(width) => drawTradeoff(points, methods, width)}
      drawn={[data, source]}
    />
  );
}

function drawTradeoff(points: readonly Point[], methods: readonly string[], width: number): SVGSVGElement {
  const step = (jsd: number | null) =>
    jsd === null ? "var(--muted)" : `var(--ramp-${1 + STEPS.filter((bound) => jsd >= bound).length})`;
  const least = Math.min(1, ...points.map(({ ratio }) => ratio.value));
  const most = Math.max(1.2, ...points.map(({ ratio }) => ratio.value));
  const losses = points.map(({ loss }) => loss.value);
  const intervals = points.flatMap(({ loss }) => loss.interval ?? []);
  // An interval may reach to any gain, of a task with few items say: it is cut where it would press all else together.
  const low = Math.min(0, ...losses, ...intervals.map((end) => Math.max(end, -1)));
  const high = Math.max(0.02, ...losses, ...intervals);
  const ends = ({ interval, value }: MeasureValue) => interval ?? [value, value];
  const misleading = points.filter(({ cell }) => cell.perplexityMisleads);
  const fine = [{ x1: least * 0.985, x2: HARMLESS_RATIO }];
  const entries = legendEntries(methods, step, width - MARGIN.left - MARGIN.right);
  const rows = 1 + Math.max(...entries.map(({ row }) => row));
  return chart({
    width,
    height: HEIGHT,
    marginTop: 10 + LEGEND_ROW * rows,
    marginLeft: MARGIN.left,
    marginBottom: 40,
    marginRight: MARGIN.right,
    x: {
      type: "log",
      domain: [least * 0.985, most * 1.03],
      label: "Perplexity ratio, compressed / base →",
      ticks: width < 500 ? 4 : 8,
      tickFormat: tickText,
    },
    y: {
      domain: [low - 0.01, high * 1.03],
      label: "↑ Task loss",
      tickFormat: (value: number) => percent(value, 0),
      grid: true,
    },
    marks: [
      Plot.rectX(fine, { x1: "x1", x2: "x2", fill: "var(--muted)", fillOpacity: 0.1 }),
      Plot.text([HARMLESS_RATIO], {
        x: (value: number) => value,
        frameAnchor: "top",
        text: () => `◂ ratio below ${HARMLESS_RATIO}`,
        textAnchor: "start",
        dx: 5,
        dy: 8,
        fill: "var(--muted)",
      }),
      Plot.ruleY([0], { stroke: "var(--muted)" }),
      Plot.ruleX(points, {
        x: (p: Point) => p.ratio.value,
        y1: (p: Point) => Math.max(ends(p.loss)[0], low - 0.01),
        y2: (p: Point) => ends(p.loss)[1],
        stroke: "var(--muted)",
        strokeOpacity: 0.6,
      }),
      Plot.ruleY(points, {
        y: (p: Point) => p.loss.value,
        x1: (p: Point) => Math.max(ends(p.ratio)[0], least * 0.985),
        x2: (p: Point) => Math.min(ends(p.ratio)[1], most * 1.03),
        stroke: "var(--muted)",
        strokeOpacity: 0.6,
      }),
      Plot.dot(points, {
        x: (p: Point) => p.ratio.value,
        y: (p: Point) => p.loss.value,
        symbol: (p: Point) => seriesSymbol(methods, p.cell.method),
        fill: (p: Point) => step(p.jsd),
        stroke: "var(--text)",
        strokeWidth: 0.75,
        r: 5,
      }),
      Plot.dot(misleading, {
        x: (p: Point) => p.ratio.value,
        y: (p: Point) => p.loss.value,
        r: 9,
        stroke: "var(--bad)",
        strokeWidth: 2,
      }),
      ...legend(entries, rows),
      Plot.tip(
        points,
        Plot.pointer({
          x: (p: Point) => p.ratio.value,
          y: (p: Point) => p.loss.value,
          title: (p: Point) =>
            `${plain(p.cell.name)}\nperplexity × ${measured("ratio", p.ratio.value)}\ntask loss ${percent(p.loss.value)} (${intervalText("share", p.loss.interval)})${p.jsd === null ? "" : `\nJSD ${short(p.jsd)} nats`}`,
        }),
      ),
    ],
    symbol: { type: "identity" } as Plot.ScaleOptions,
    color: { type: "identity" },
    r: { type: "identity" },
  });
}

/** Where an entry of the legend stands: pixels from the frame's left end, and its row. */
interface Entry {
  readonly text: string;
  readonly symbol: string;
  readonly fill: string;
  readonly x: number;
  readonly row: number;
}

/** Symbols of methods, then steps of colour, in as many rows as the width takes. */
function legendEntries(methods: readonly string[], step: (jsd: number) => string, width: number): Entry[] {
  const entries: Entry[] = [];
  let x = LEGEND_LEFT;
  let row = 0;
  const add = (text: string, symbol: string, fill: string) => {
    const wide = 24 + 6.2 * text.length;
    if (x + wide > width && x > LEGEND_LEFT) {
      x = LEGEND_LEFT;
      row++;
    }
    entries.push({ text, symbol, fill, x, row });
    x += wide;
  };
  for (const method of methods) add(plain(method), seriesSymbol(methods, method), "var(--surface)");
  x = LEGEND_LEFT;
  row++;
  for (const [i, bound] of [0, ...STEPS].entries())
    add(i === 0 ? `JSD < ${STEPS[0]}` : `≥ ${bound}`, "circle", step(bound));
  return entries;
}

function legend(entries: readonly Entry[], rows: number): Plot.Markish[] {
  return entries.flatMap(({ text, symbol, fill, x, row }) => {
    const at = { frameAnchor: "top-left", dy: -LEGEND_ROW * (rows - row) } as const;
    return [
      Plot.dot([0], {
        ...at,
        dx: x,
        symbol: symbol as Plot.SymbolType,
        fill,
        stroke: "var(--text)",
        strokeWidth: 0.75,
        r: 4.5,
      }),
      Plot.text([text], { ...at, dx: x + 9, textAnchor: "start", lineAnchor: "middle" }),
    ];
  });
}
