import { type Engine, emptyRows } from "./engine.js";
import type { Program } from "./operations.js";

/** Rows, inputs and outputs of the matrix product that is measured. */
const SIZE = 1024;
const MEASURE_SECONDS = 1;

const PRODUCT: Program = {
  key: "doctor product",
  columns: { in: SIZE, out: SIZE },
  build: (g, x) => g.linear(x, { name: "product", in: SIZE, out: SIZE, bias: false }),
};

/** An engine's speed in billions of floating-point operations a second in products of SIZE x SIZE matrices, two (× and +) a term. */
export async function measureSpeed(engine: Engine): Promise<number> {
  const executable = await engine.compile(PRODUCT);
  const x = { data: emptyRows(engine, SIZE * SIZE).fill(0.5), windows: 1, tokens: SIZE };
  const weights = new Map([["product.weight", new Float32Array(SIZE * SIZE).fill(0.5)]]);
  const seconds = async (runs: number) => {
    const begin = performance.now();
    for (let i = 0; i < runs; i++) await executable.run(x, weights);
    return (performance.now() - begin) / 1000;
  };
  let runs = 1;
  let elapsed = await seconds(runs);
  if (elapsed < MEASURE_SECONDS) {
    // The first run prepared the engine; the second says how many fit.
    runs = Math.max(1, Math.round(MEASURE_SECONDS / (await seconds(1))));
    elapsed = await seconds(runs);
  }
  return (runs * 2 * SIZE ** 3) / elapsed / 1e9;
}
