import { type Band, bandsOf } from "../../tensor/bands.js";
import type { Sums } from "./observed.js";
import { Tensor } from "./ort.js";

/**
 * The lower triangle of Σ x xᵀ in square tiles: what lies right of the diagonal tiles is never computed. With four bands
 * that is 10 of 16 products.
 */
export interface Tile {
  /** Bands whose product it is, the second not after the first. */
  readonly row: Band;
  readonly column: Band;
}

/** Runs that are summed in float32 before they are added to the float64 sums: what that costs is spread over them. */
const RUNS = 4;

export function tilesOf(size: number): Tile[] {
  const bands = bandsOf(size);
  return bands.flatMap((row) => bands.slice(0, row.index + 1).map((column) => ({ row, column })));
}

/** The graph output of a linear input's tile, [row.to - row.from, column.to - column.from]. */
export const tileName = (input: number, { row, column }: Tile): string => `gram.${input}.${row.index}.${column.index}`;
/** The graph input that is added to it: the same tile of the runs before. */
export const beforeName = (input: number, tile: Tile): string => `before.${tileName(input, tile)}`;

/**
 * Sums the lower triangles of the Gram matrices of inputs of these sizes. A run starts from the sums of those before and
 * puts its own into the same memory, of which Gemm reads an element just before it writes it.
 */
export function gramSums(sizes: readonly number[]): Sums {
  const tiles = sizes.flatMap((size, input) =>
    tilesOf(size).map((tile) => {
      const shape = [tile.row.to - tile.row.from, tile.column.to - tile.column.from] as const;
      const data = new Float32Array(shape[0] * shape[1]);
      return { input, size, tile, data, tensor: new Tensor("float32", data, shape) };
    }),
  );
  let sums: Float64Array[] = [];
  let runs = 0;
  const fold = (): Float64Array[] => {
    for (const { input, size, tile, data } of tiles) {
      addTile(sums[input]!, size, tile, data);
      data.fill(0);
    }
    runs = 0;
    return sums;
  };
  return {
    begin() {
      sums = sizes.map((size) => new Float64Array(size * size));
      for (const { data } of tiles) data.fill(0);
      runs = 0;
    },
    feeds: Object.fromEntries(tiles.map(({ input, tile, tensor }) => [beforeName(input, tile), tensor])),
    fetches: Object.fromEntries(tiles.map(({ input, tile, tensor }) => [tileName(input, tile), tensor])),
    ran() {
      if (++runs === RUNS) fold();
    },
    take: fold,
  };
}

function addTile(sum: Float64Array, size: number, { row, column }: Tile, data: Float32Array): void {
  const width = column.to - column.from;
  for (let r = row.from; r < row.to; r++) {
    const to = r * size + column.from;
    const from = (r - row.from) * width;
    const end = Math.min(width, r + 1 - column.from);
    for (let c = 0; c < end; c++) sum[to + c]! += data[from + c]!;
  }
}
