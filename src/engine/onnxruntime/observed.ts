import { bandsOf } from "../../tensor/bands.js";
import type { LinearInput } from "../describe.js";
import type { Observable } from "../engine.js";
import { beforeName, type Tile, tileName, tilesOf } from "./gram.js";
import type { Nodes } from "./nodes.js";
import { ONNX_TYPE, type Value } from "./onnx.js";
import type { Tensor } from "./ort.js";

/** An input of graphs that sum squares: [groups, rows a group], whose product is the number of rows. */
export const GROUPS = "groups";

/** The name of the sum of squares of a linear input, [in]. */
const observedName = (input: number): string => `observed.${input}`;

/** The name of the number of rows that a gathered input has. */
export const rowsName = (input: number): string => `rows.${input}`;

/** What is summed over runs of one kind of graph. */
export interface Sums {
  /** Begins at 0. */
  begin(): void;
  /** What a run is to start from. */
  readonly feeds: Readonly<Record<string, Tensor>>;
  /** Where a run puts its sums; null: where it likes. */
  readonly fetches: Readonly<Record<string, Tensor | null>>;
  /** Takes note of a run that is over. */
  ran(outputs: Readonly<Record<string, Tensor>>): void;
  /** The sums of each linear input since it began. */
  take(): Float64Array[];
}

/** Sums the squared norms of inputs of these sizes. */
export function normSums(sizes: readonly number[]): Sums {
  let sums: Float64Array[] = [];
  return {
    begin() {
      sums = sizes.map((size) => new Float64Array(size));
    },
    feeds: {},
    fetches: Object.fromEntries(sizes.map((_, input) => [observedName(input), null])),
    ran(outputs) {
      for (const [input, sum] of sums.entries()) {
        const part = outputs[observedName(input)]!.data as Float64Array;
        for (let i = 0; i < sum.length; i++) sum[i]! += part[i]!;
      }
    },
    take: () => sums,
  };
}

/** Adds what a linear's input is to be summed to; returns the graph's outputs for it. */
export function statisticNodes(g: Nodes, what: Observable, edge: string, input: number, of: LinearInput): Value[] {
  const outputs = what === "gram" ? gramTiles(g, edge, input, of.columns) : squaredNorms(g, edge, input, of);
  if (of.gathered) {
    g.nodes.push({ op: "Shape", inputs: [edge], outputs: [rowsName(input)], attributes: { end: 1 } });
    outputs.push({ name: rowsName(input), type: "int64", shape: [1] });
  }
  return outputs;
}

// Sums of squares of a few rows each in float32, then all of them in float64: one long float32 sum would choose other
// weights to prune where two scores are close, and what that changes grows from block to block.
function squaredNorms(g: Nodes, edge: string, input: number, { columns, gathered }: LinearInput): Value[] {
  const { node, nodes, integers } = g;
  const name = observedName(input);
  const rest = { outputs: [name], attributes: { keepdims: 0 } };
  if (gathered) {
    // How many rows there are is known only when it runs.
    const double = node("Cast", [edge], { to: ONNX_TYPE.double });
    nodes.push({ op: "ReduceSumSquare", inputs: [double, integers(0)], ...rest });
  } else {
    g.table({ name: GROUPS, type: "int64", shape: [2] });
    g.whole({ kind: "squares", x: edge, columns }, () => {
      const grouped = node("Reshape", [edge, node("Concat", [GROUPS, integers(columns)], { axis: 0 })]);
      const sums = node("ReduceSumSquare", [grouped, integers(1)], { keepdims: 0 });
      const double = node("Cast", [sums], { to: ONNX_TYPE.double });
      nodes.push({ op: "ReduceSum", inputs: [double, integers(0)], ...rest });
      return name;
    });
  }
  return [{ name, type: "double", shape: [columns] }];
}

function gramTiles(g: Nodes, edge: string, input: number, size: number): Value[] {
  const bands = bandsOf(size);
  const tiles = tilesOf(size).map((tile) => ({ ...tile, before: beforeName(input, tile), y: tileName(input, tile) }));
  const shapeOf = ({ row, column }: Tile) => [row.to - row.from, column.to - column.from];
  for (const tile of tiles) g.table({ name: tile.before, type: "float", shape: shapeOf(tile) });
  g.whole({ kind: "gram", x: edge, tiles }, () => {
    const columns = bands.map(({ index }) => `${edge}.columns.${index}`);
    const sizes = g.integers(...bands.map(({ from, to }) => to - from));
    g.nodes.push({ op: "Split", inputs: [edge, sizes], outputs: columns, attributes: { axis: 1 } });
    for (const { row, column, before, y } of tiles) {
      const inputs = [columns[row.index]!, columns[column.index]!, before];
      g.nodes.push({ op: "Gemm", inputs, outputs: [y], attributes: { transA: 1 } });
    }
    return tiles[0]!.y;
  });
  return tiles.map((tile) => ({ name: tile.y, type: "float", shape: shapeOf(tile) }));
}
