import * as Plot from "@observablehq/plot";
import type { Curve, Measure } from "../../../analysis/analysis.js";
import { intervalText, measured, percent, plain } from "../../format.js";
import type { ReportData } from "../../report-data.js";
import { Figure } from "../figure.js";
import { chart, seriesColour } from "./chart.js";

const HEIGHT = 230;
const PANEL = 300;

interface Point {
  readonly curve: Curve;
  readonly measure: Measure;
  readonly sparsity: number;
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** What one model loses in one task. */
interface Panel {
  readonly model: string;
  readonly measure: Measure;
  readonly title: string;
}

/** What compression costs in each task: the difference of its first metric, with intervals on the same items. */
export function TasksFigure({ data }: { readonly data: ReportData }) {
  const measures = data.measures.filter(
    ({ kind, source, metric }) =>
      kind === "taskDifference" && source !== null && data.tasks[source]?.metrics[0] === metric,
  );
  const points = measures.flatMap((measure) =>
    data.curves.flatMap((curve) =>
      curve.points.flatMap(({ sparsity, values }): Point[] => {
        const found = values[measure.id];
        if (!found) return [];
        const [low, high] = found.interval ?? [found.value, found.value];
        return [{ curve, measure, sparsity, value: found.value, low, high }];
      }),
    ),
  );
  if (points.length === 0) return null;
  const methods = [...new Set(data.curves.map(({ method }) => method))];
  const models = data.study.models.map(({ name }) => name);
  const panels = models.flatMap((model) =>
    measures
      .filter((measure) => points.some((point) => point.measure === measure && point.curve.model === model))
      .map((measure) => ({
        model,
        measure,
        title: `${models.length > 1 ? `${plain(model)}: ` : ""}${plain(measure.source ?? "")} (${measure.metric})`,
      })),
  );
  return (
    <Figure
      name="task-scores-by-sparsity"
      title="What it costs in each task"
      caption="Score of the compressed model less that of the base, on the same items (0: unchanged); bars are 95% intervals, over items and, where there are several, over seeds. Dashed: the second calibration source."
      summary={`${measures.length} tasks, ${points.length} points. The numbers stand in the data table below.`}
      data={{
        columns: [
          "model",
          "task",
          "metric",
          "method",
          "calibration",
          "pattern",
          "sparsity",
          "difference",
          "95% low",
          "95% high",
        ],
        rows: points.map(({ curve, measure, sparsity, value, low, high }) => [
          curve.model,
          measure.source,
          measure.metric,
          curve.method,
          curve.calibration,
          curve.pattern,
          sparsity,
          value,
          low,
          high,
        ]),
      }}
      draw={(width) => drawTasks(points, panels, methods, width)}
      drawn={[data]}
    />
  );
}

/** Panels side by side, as many in a row as there is room for. */
function drawTasks(
  points: readonly Point[],
  panels: readonly Panel[],
  methods: readonly string[],
  width: number,
): SVGSVGElement {
  const perRow = Math.max(1, Math.min(panels.length, Math.floor(width / PANEL)));
  const rows = Math.ceil(panels.length / perRow);
  const place = (of: Panel | Point) =>
    "curve" in of
      ? panels.findIndex(({ model, measure }) => model === of.curve.model && measure === of.measure)
      : panels.indexOf(of);
  const fx = (of: Panel | Point) => place(of) % perRow;
  const fy = (of: Panel | Point) => Math.floor(place(of) / perRow);
  const colour = ({ curve }: Point) => seriesColour(methods, curve.method);
  const calibrations = [...new Set(points.map(({ curve }) => curve.calibration).filter((name) => name !== null))];
  const isSecond = ({ curve }: Point) => calibrations.indexOf(curve.calibration ?? "") > 0;
  const lines = points.filter(({ curve }) => curve.pattern === null);
  const at = { x: "sparsity", fx, fy } as const;
  const style = { z: "curve", stroke: colour, strokeWidth: 1.5 } as const;
  return chart({
    width,
    height: rows * HEIGHT + 64,
    marginTop: 40,
    marginBottom: 40,
    marginLeft: 56,
    marginRight: 8,
    x: { label: "Sparsity →", tickFormat: (share: number) => percent(share, 0), ticks: 5, inset: 8 },
    y: {
      label: "↑ Difference of score",
      grid: true,
      ticks: 5,
      tickFormat: (value: number) => measured("score", value).replace(/0$/, ""),
    },
    fx: { axis: null, padding: 0.08 },
    fy: { axis: null, padding: 0.14 },
    marks: [
      Plot.ruleY([0], { stroke: "var(--muted)" }),
      Plot.ruleX(points, { ...at, y1: "low", y2: "high", stroke: colour, strokeOpacity: 0.65 }),
      Plot.line(
        lines.filter((point) => !isSecond(point)),
        { ...at, ...style, y: "value" },
      ),
      Plot.line(lines.filter(isSecond), { ...at, ...style, y: "value", strokeDasharray: "5,3" }),
      Plot.dot(points, {
        ...at,
        y: "value",
        r: 3,
        symbol: (p: Point) => (p.curve.pattern === null ? "circle" : "diamond"),
        fill: (p: Point) => (isSecond(p) ? "var(--surface)" : colour(p)),
        stroke: colour,
      }),
      Plot.text(panels, {
        fx,
        fy,
        frameAnchor: "top-left",
        dy: -12,
        text: ({ title }: Panel) => title,
        textAnchor: "start",
        fontWeight: 600,
        fill: "var(--text)",
      }),
      ...methods.map((method, i) =>
        Plot.text(panels.slice(0, 1), {
          fx,
          fy,
          frameAnchor: "bottom-left",
          dx: 6,
          dy: -6 - 14 * (methods.length - 1 - i),
          text: () => plain(method),
          textAnchor: "start",
          fontWeight: 600,
          fill: seriesColour(methods, method),
        }),
      ),
      Plot.tip(
        points,
        Plot.pointer({
          ...at,
          y: "value",
          title: (p: Point) =>
            `${plain(p.curve.name)} ${p.curve.pattern ?? percent(p.sparsity, 0)}\n${plain(p.measure.source ?? "")} ${p.measure.metric}: ${measured("score", p.value)}\n95%: ${intervalText("score", [p.low, p.high])}`,
        }),
      ),
    ],
    symbol: { type: "identity" } as Plot.ScaleOptions,
    color: { type: "identity" },
    r: { type: "identity" },
  });
}
