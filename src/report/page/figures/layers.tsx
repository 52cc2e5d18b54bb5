import * as Plot from "@observablehq/plot";
import type { BlockDamage } from "../../../analysis/analysis.js";
import { Z } from "../../../metrics/statistics/interval.js";
import { percent, plain, short } from "../../format.js";
import type { ReportCell } from "../../report-data.js";
import { Figure } from "../figure.js";
import { chart } from "./chart.js";

/** Share of zeros of every layer, by kind of weight. */
export function LayerSparsityFigure({ cell }: { readonly cell: ReportCell }) {
  const { layers, kinds } = cell.layers;
  if (layers.length === 0) return null;
  const cells = Object.entries(kinds).flatMap(([kind, shares]) =>
    shares.map((share, i) => ({ kind, layer: layers[i]!, share })).filter(({ share }) => share !== null),
  );
  const values = cells.map(({ share }) => share!);
  const low = Math.min(...values);
  const high = Math.max(...values);
  const level = (share: number) =>
    high - low < 0.001 ? 3 : 1 + Math.min(4, Math.floor((5 * (share - low)) / (high - low)));
  const draw = (width: number) =>
    chart({
      width,
      height: 26 * Object.keys(kinds).length + 66,
      marginLeft: 108,
      marginTop: 12,
      marginBottom: 40,
      marginRight: 8,
      padding: 0,
      x: {
        type: "band",
        label: "Layer →",
        domain: layers,
        ticks: width < 500 ? 6 : 16,
        tickSize: 0,
        tickFormat: (layer: number) =>
          layers.length <= 16 || layer % Math.ceil(layers.length / 16) === 0 ? String(layer) : "",
      } as Plot.ScaleOptions,
      y: { label: null, tickSize: 0, domain: Object.keys(kinds) },
      color: { type: "identity" },
      marks: [
        Plot.cell(cells, { x: "layer", y: "kind", fill: ({ share }) => `var(--ramp-${level(share!)})`, inset: 0.75 }),
        ...(width / layers.length > 44
          ? [
              Plot.text(cells, {
                x: "layer",
                y: "kind",
                text: ({ share }) => percent(share!, 0),
                fill: ({ share }) => `var(--ramp-text-${level(share!)})`,
              }),
            ]
          : []),
        Plot.tip(
          cells,
          Plot.pointer({
            x: "layer",
            y: "kind",
            title: ({ kind, layer, share }) => `layer ${layer} ${kind}\n${percent(share!, 2)} zeros`,
          }),
        ),
      ],
    });
  return (
    <Figure
      name="zeros-by-layer"
      title="Zeros by layer"
      caption={`Share of zeros of every weight of ${plain(cell.name)}: ${high - low < 0.001 ? `${percent(low)} everywhere` : `from ${percent(low)} (light) to ${percent(high)} (dark)`}.`}
      summary={`${layers.length} layers, ${Object.keys(kinds).length} kinds of weights, ${percent(low)} to ${percent(high)} zeros. The numbers stand in the data table below.`}
      data={{
        columns: ["layer", "weight", "zeros"],
        rows: cells.map(({ layer, kind, share }) => [layer, kind, share]),
      }}
      draw={draw}
      drawn={[cell]}
    />
  );
}

/** Which block does the damage: each block's compressed weights alone in the base. */
export function BlockFigure({ cell, damage }: { readonly cell: ReportCell; readonly damage: BlockDamage }) {
  const blocks = damage.blocks.flatMap(({ layer, mean, standardError, share }) =>
    mean === null
      ? []
      : {
          layer,
          mean,
          low: Math.max(0, mean - Z * (standardError ?? 0)),
          high: mean + Z * (standardError ?? 0),
          share,
        },
  );
  const { whole, explained, sum } = damage;
  const worst = damage.worst[0];
  const draw = (width: number) =>
    chart({
      width,
      height: 240,
      marginLeft: 56,
      marginTop: 24,
      marginBottom: 40,
      marginRight: 8,
      x: {
        type: "band",
        label: "Layer →",
        tickSize: 0,
        padding: 0.25,
        tickFormat: (layer: number) =>
          blocks.length <= 16 || layer % Math.ceil(blocks.length / 16) === 0 ? String(layer) : "",
      } as Plot.ScaleOptions,
      y: { label: "↑ JSD alone (nats)", grid: true, ticks: 5 },
      color: { type: "identity" },
      marks: [
        Plot.barY(blocks, {
          x: "layer",
          y: "mean",
          fill: (block: { layer: number }) => (block.layer === worst ? "var(--series-2)" : "var(--series-1)"),
        }),
        Plot.ruleX(blocks, { x: "layer", y1: "low", y2: "high", stroke: "var(--text)" }),
        Plot.ruleY([0], { stroke: "var(--muted)" }),
        Plot.tip(
          blocks,
          Plot.pointerX({
            x: "layer",
            y: "mean",
            title: ({ layer, mean, share }) =>
              `layer ${layer}: ${short(mean)} nats${share === null ? "" : `\n${percent(share)} of the sum`}`,
          }),
        ),
      ],
    });
  return (
    <Figure
      name="damage-by-block"
      title="Which block does the damage?"
      caption={`JSD in nats on ${plain(damage.source)} with only this block's compressed weights in the base; bars are 95% intervals. Together the blocks alone sum to ${short(sum)} nats${whole === null ? "" : `; all at once they do ${short(whole)}`}${explained === null ? "" : `: the sum of the parts is ${percent(explained, 0)} of the whole`}.`}
      summary={`Block ${worst} of ${plain(cell.name)} does the most damage. The numbers stand in the data table below.`}
      data={{
        columns: ["layer", "JSD alone (nats)", "95% low", "95% high", "share of the sum"],
        rows: blocks.map(({ layer, mean, low, high, share }) => [layer, mean, low, high, share]),
      }}
      draw={draw}
      drawn={[damage]}
    />
  );
}
