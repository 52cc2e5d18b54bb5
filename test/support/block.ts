import type { Rows, Weights } from "../../src/engine/engine.js";
import type { Program } from "../../src/engine/operations.js";
import { createMersenneTwister } from "../../src/random/mersenne.js";

export const TOKENS = 512;
export const HIDDEN = 256;
const [BETWEEN, HEADS, SIZE] = [768, 4, 64];

const linear = (name: string, inputs: number, outputs: number) => ({ name, in: inputs, out: outputs, bias: false });
const attention = { heads: HEADS, keyValueHeads: HEADS, headSize: SIZE, scale: SIZE ** -0.5 };
const rotation = { heads: HEADS, headSize: SIZE, frequencies: [1, 0.1, 0.01] };
/** Every operation that the engine onednn computes itself; enough work for a lane. */
export const block: Program = {
  key: "block",
  columns: { in: HIDDEN, out: HIDDEN },
  build(g, x) {
    const normed = g.rmsNorm(x, { name: "norm", size: HIDDEN }, 1e-5);
    const [q, k, v] = ["q", "k", "v"].map((name) => g.linear(normed, linear(name, HIDDEN, HIDDEN)));
    const seen = g.attention(g.rope(q!, rotation), g.rope(k!, rotation), v!, attention);
    const after = g.add(x, g.linear(seen, linear("o", HIDDEN, HIDDEN)));
    const gate = g.silu(g.linear(after, linear("gate", HIDDEN, BETWEEN)));
    const up = g.linear(after, linear("up", HIDDEN, BETWEEN));
    return g.add(after, g.linear(g.mul(gate, up), linear("down", BETWEEN, HIDDEN)));
  },
};

const { random } = createMersenneTwister(11);
/** Numbers up to this size. */
export const numbers = (length: number, size: number) => Float32Array.from({ length }, () => size * (2 * random() - 1));
export const weightsOf = (): Weights =>
  new Map([
    ["norm.weight", numbers(HIDDEN, 1)],
    ...["q", "k", "v", "o"].map((name) => [`${name}.weight`, numbers(HIDDEN * HIDDEN, 0.1)] as const),
    ...["gate", "up", "down"].map((name) => [`${name}.weight`, numbers(HIDDEN * BETWEEN, 0.1)] as const),
  ]);
export const rowsOf = (windows = 1): Rows => ({ data: numbers(windows * TOKENS * HIDDEN, 1), windows, tokens: TOKENS });
