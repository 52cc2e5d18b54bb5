import * as Plot from "@observablehq/plot";
import { useState } from "preact/hooks";
import type { Curve } from "../../../analysis/analysis.js";
import { intervalText, measured, percent, plain, short } from "../../format.js";
import type { ReportData } from "../../report-data.js";
import { Figure } from "../figure.js";
import { Select } from "../select.js";
import { chart, decades, logAxisY, roundEnds, seriesColour, spread } from "./chart.js";

const HEIGHT = 400;
const MARGIN = { top: 24, bottom: 40, left: 56 };
const LABEL_HEIGHT = 13;
/** Narrower than that, labels at the lines' ends would leave the lines no room. */
const WIDE = 560;

interface Point {
  readonly curve: Curve;
  readonly sparsity: number;
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly seeds: number;
}

/** Figure 1: divergence from the base by sparsity, a line a method and calibration source. */
export function DivergenceFigure({ data, source }: { readonly data: ReportData; readonly source: string }) {
  const [scale, setScale] = useState("log");
  const measure = data.measures.find(({ kind, source: own }) => kind === "jsd" && own === source);
  if (!measure) return null;
  const methods = [...new Set(data.curves.map(({ method }) => method))];
  const calibrations = [...new Set(data.curves.map(({ calibration }) => calibration).filter((name) => name !== null))];
  const points = data.curves.flatMap((curve) =>
    curve.points.flatMap(({ sparsity, values, cells }): Point[] => {
      const found = values[measure.id];
      if (!found) return [];
      const [low, high] = found.interval ?? [found.value, found.value];
      return [{ curve, sparsity, value: found.value, low, high, seeds: cells.length }];
    }),
  );
  const floors = data.cells.flatMap((cell) => cell.values[measure.id]?.noiseFloor ?? []);
  const floor = floors.length > 0 ? floors.reduce((sum, value) => sum + value, 0) / floors.length : undefined;
  const draw = (width: number) =>
    drawDivergence({ points, methods, calibrations, floor, isLog: scale === "log", width });
  const worst = points.toSorted((a, b) => b.value - a.value)[0];
  return (
    <Figure
      name="divergence-by-sparsity"
      title={`Divergence from the base by sparsity, on ${plain(source)}`}
      caption="Mean Jensen-Shannon divergence in nats (0: the same distribution, 0.693: nothing in common); bars are 95% intervals, over windows and, where there are several, over seeds. Diamonds are n:m patterns."
      summary={`JSD on ${source} of ${points.length} points of ${data.curves.length} curves.${worst ? ` The largest is ${short(worst.value)} nats: ${worst.curve.name} at ${percent(worst.sparsity, 0)}.` : ""} The numbers stand in the data table below.`}
      data={{
        columns: ["method", "calibration", "pattern", "sparsity", "JSD (nats)", "95% low", "95% high", "seeds"],
        rows: points.map(({ curve, sparsity, value, low, high, seeds }) => [
          curve.method,
          curve.calibration,
          curve.pattern,
          sparsity,
          value,
          low,
          high,
          seeds,
        ]),
      }}
      draw={draw}
      drawn={[data, source, scale]}
    >
      <Select
        label="Scale"
        value={scale}
        options={[
          ["log", "logarithmic"],
          ["linear", "linear"],
        ]}
        onChange={setScale}
      />
    </Figure>
  );
}

interface Drawing {
  readonly points: readonly Point[];
  readonly methods: readonly string[];
  readonly calibrations: readonly string[];
  readonly floor: number | undefined;
  readonly isLog: boolean;
  readonly width: number;
}

function drawDivergence({ points, methods, calibrations, floor, isLog, width }: Drawing): SVGSVGElement {
  const all = [...points.map(({ value }) => value), ...(floor === undefined ? [] : [floor])];
  const highs = points.map(({ high }) => high);
  const [bottom, top] = isLog ? roundEnds([...all, ...highs]) : [0, Math.max(0.01, ...highs) * 1.05];
  const range = [HEIGHT - MARGIN.bottom, MARGIN.top] as const;
  const y = (value: number) => {
    const share = isLog ? Math.log(value / bottom) / Math.log(top / bottom) : (value - bottom) / (top - bottom);
    return range[0] + share * (range[1] - range[0]);
  };
  const shown = isLog ? points.filter(({ value }) => value > 0) : points;
  const lines = shown.filter(({ curve }) => curve.pattern === null);
  const ends = [...new Map(lines.map((point) => [point.curve, point])).values()];
  const isWide = width >= WIDE;
  const longest = Math.max(0, ...ends.map(({ curve }) => curve.name.length));
  const labels = spread(
    ends.map(({ value }) => y(value)),
    LABEL_HEIGHT,
    [MARGIN.top, HEIGHT - MARGIN.bottom],
  );
  const colour = ({ curve }: Point) => seriesColour(methods, curve.method);
  const isSecond = ({ curve }: Point) => calibrations.indexOf(curve.calibration ?? "") > 0;
  // Where there is no room beside the lines, their names stand above them.
  const legend = isWide ? [] : ends;
  return chart({
    width,
    height: HEIGHT + LABEL_HEIGHT * legend.length,
    marginTop: MARGIN.top + LABEL_HEIGHT * legend.length,
    marginBottom: MARGIN.bottom,
    marginLeft: MARGIN.left,
    marginRight: isWide ? Math.min(220, 24 + 6.4 * longest) : 16,
    x: {
      label: "Sparsity (share of zeros) →",
      labelAnchor: "right",
      tickFormat: (share: number) => percent(share, 0),
      grid: false,
      nice: false,
      inset: 10,
    },
    y: {
      type: isLog ? "log" : "linear",
      domain: [bottom, top],
      label: "↑ JSD (nats)",
      ...(isLog ? { axis: null } : { grid: true, ticks: 6, tickSize: 0 }),
    },
    marks: [
      ...(isLog ? logAxisY(decades([bottom, top], 14), "↑ JSD (nats)") : []),
      ...(floor === undefined || floor <= 0
        ? []
        : [
            Plot.rect([0], { y1: bottom, y2: floor, fill: "var(--muted)", fillOpacity: 0.12 }),
            Plot.ruleY([floor], { stroke: "var(--muted)", strokeDasharray: "2,3" }),
            Plot.text([`noise floor ${short(floor)}`], {
              y: floor,
              frameAnchor: "right",
              dx: -6,
              dy: -7,
              textAnchor: "end",
              fill: "var(--muted)",
            }),
          ]),
      Plot.ruleX(shown, {
        x: "sparsity",
        y1: (p: Point) => Math.max(p.low, bottom),
        y2: "high",
        stroke: colour,
        strokeWidth: 1.25,
      }),
      Plot.line(
        lines.filter((point) => !isSecond(point)),
        { x: "sparsity", y: "value", z: "curve", stroke: colour, strokeWidth: 1.75 },
      ),
      Plot.line(lines.filter(isSecond), {
        x: "sparsity",
        y: "value",
        z: "curve",
        stroke: colour,
        strokeWidth: 1.75,
        strokeDasharray: "5,3",
      }),
      Plot.dot(shown, {
        x: "sparsity",
        y: "value",
        symbol: (p: Point) => (p.curve.pattern === null ? "circle" : "diamond"),
        fill: (p: Point) => (isSecond(p) ? "var(--surface)" : colour(p)),
        stroke: colour,
        strokeWidth: 1.5,
        r: (p: Point) => (p.curve.pattern === null ? 3.2 : 4.5),
      }),
      ...(isWide
        ? [
            Plot.text(ends, {
              x: "sparsity",
              y: (p: Point) => invert(labels[ends.indexOf(p)]!, range, [bottom, top], isLog),
              text: (p: Point) => plain(p.curve.name),
              dx: 9,
              textAnchor: "start",
              fill: colour,
              fontWeight: 600,
            }),
          ]
        : []),
      ...legend.map((end, i) =>
        Plot.text([end], {
          frameAnchor: "top-right",
          dy: LABEL_HEIGHT * (i - legend.length),
          text: (p: Point) => `${isSecond(p) ? "◇ ┄ " : "● ─ "}${plain(p.curve.name)}`,
          textAnchor: "end",
          fill: colour,
          fontWeight: 600,
        }),
      ),
      Plot.tip(
        shown,
        Plot.pointer({
          x: "sparsity",
          y: "value",
          title: (p: Point) =>
            `${plain(p.curve.name)}\n${p.curve.pattern ?? percent(p.sparsity, 0)}: JSD ${measured("nats", p.value)} nats\n95%: ${intervalText("nats", [p.low, p.high])}`,
        }),
      ),
    ],
    symbol: { type: "identity" } as Plot.ScaleOptions,
    color: { type: "identity" },
    r: { type: "identity" },
  });
}

/** The value that stands at a place in pixels. */
function invert(
  place: number,
  [from, to]: readonly [number, number],
  [low, high]: readonly [number, number],
  isLog: boolean,
): number {
  const share = (place - from) / (to - from);
  return isLog ? low * (high / low) ** share : low + share * (high - low);
}
