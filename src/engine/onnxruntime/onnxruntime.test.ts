import { expect, it } from "vitest";
import type { Program } from "../operations.js";
import { createGraphEngine } from "./onnxruntime.js";
import { Tensor } from "./ort.js";
import type { Feeds } from "./session.js";

const program: Program = {
  key: "l",
  columns: { in: 1, out: 1 },
  build: (g, x) => g.linear(x, { name: "l", in: 1, out: 1, bias: false }),
};
const of = { name: "fake", precision: "float32", device: "cpu", threads: 3, version: "", packedBytes: 0 } as const;

it("runs' sums are added in the order in which they were asked for, whichever is done first", async () => {
  const sums = [1e300, -1e300, 1, 2]; // in another order 1, or 1 and 2, are lost
  const answers: ((feeds: Feeds) => void)[] = [];
  const engine = createGraphEngine({
    ...of,
    takesBfloat16: false,
    takesShared: false,
    lanesOf: () => sums.length,
    open: async () => ({
      run: () => new Promise((resolve) => answers.push(resolve)),
      release: async () => {},
    }),
  });
  const executable = await engine.compile(program);
  const observation = executable.observe("squaredNorms");
  expect(observation.lanes).toBe(sums.length);
  const x = { data: Float32Array.of(1), windows: 1, tokens: 1 };
  const weights = new Map([["l.weight", Float32Array.of(1)]]);
  const added = Promise.all(sums.map((_, lane) => observation.add(x, weights, lane)));
  await new Promise((resolve) => setImmediate(resolve));
  expect(answers).toHaveLength(sums.length);
  for (const run of [2, 0, 3, 1]) {
    answers[run]!({ "observed.0": new Tensor("float64", Float64Array.of(sums[run]!), [1]) });
    await new Promise((resolve) => setImmediate(resolve));
  }
  await added;
  expect([...observation.sums()[0]!]).toEqual([3]);
});
