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

/**
 * An engine's speed in billions of floating-point operations a second in products of SIZE x SIZE matrices, two (× and +) a
 * term: the fastest of those that fit into MEASURE_SECONDS, since whatever else a machine does can only make them slower.
 */
export async function measureSpeed(engine: Engine): Promise<number> {
  const executable = await engine.compile(PRODUCT);
  const x = { data: emptyRows(engine, SIZE * SIZE).fill(0.5), windows: 1, tokens: SIZE };
  const weights = new Map([["product.weight", new Float32Array(SIZE * SIZE).fill(0.5)]]);
  const room = emptyRows(engine, SIZE * SIZE);
  const timed = async () => {
    const begin = performance.now();
    await executable.run(x, weights, room);
    return (performance.now() - begin) / 1000;
  };
  let elapsed = await timed(); // the first run prepares the engine
  let fastest = elapsed;
  while (elapsed < MEASURE_SECONDS) {
    const seconds = await timed();
    fastest = Math.min(fastest, seconds);
    elapsed += seconds;
  }
  return (2 * SIZE ** 3) / fastest / 1e9;
}
