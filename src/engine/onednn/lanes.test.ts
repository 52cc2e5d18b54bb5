import { setImmediate as nextTurn } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { block, HIDDEN, rowsOf, TOKENS, weightsOf } from "../../../test/support/block.js";
import { largestDifference } from "../../../test/support/differences.js";
import { engineCases } from "../../../test/support/engines.js";
import type { Engine, Executable } from "../engine.js";
import type { Graph } from "../onnxruntime/onnx.js";
import { Tensor } from "../onnxruntime/ort.js";
import { createLanes } from "./lanes.js";
import type { ElementType } from "./library.js";

/** Two threads, two lanes. */
const THREADS = 2;

describe.each(engineCases.filter(({ engine }) => engine === "onednn"))("lanes: $title", (of) => {
  let engine: Engine;
  let executable: Executable;
  beforeAll(async () => {
    if (of.isSkipped) return;
    engine = of.create({ threads: THREADS });
    executable = await engine.compile(block);
  });
  afterAll(() => engine?.dispose());

  it.skipIf(of.isSkipped)("runs side by side give what runs with all threads do, to the last bit", async () => {
    expect(executable.lanes).toBe(THREADS);
    const weights = weightsOf();
    const xs = [rowsOf(), rowsOf(), rowsOf()];
    const alone = [];
    for (const x of xs) alone.push(await executable.run(x, weights));
    const rooms = xs.map(() => new Float32Array(TOKENS * HIDDEN));
    const beside = await Promise.all(xs.map((x, i) => executable.run(x, weights, rooms[i], i % THREADS)));
    for (const [i, output] of beside.entries()) {
      expect(output).toBe(rooms[i]);
      expect(largestDifference(alone[i]!, output)).toBe(0);
    }
  });

  it.skipIf(of.isSkipped)("this thread is free meanwhile", async () => {
    let isDone = false;
    const run = executable.run(rowsOf(), weightsOf(), undefined, 0).then(() => {
      isDone = true;
    });
    // An engine that computed here would be done before the event loop's next turn but one.
    for (let turn = 0; turn < 3; turn++) await nextTurn();
    expect(isDone).toBe(false);
    await run;
  });

  it.skipIf(of.isSkipped)("other weights in the same memory are other weights", async () => {
    const x = rowsOf();
    const weights = weightsOf();
    const run = () => Promise.all([0, 1].map((lane) => executable.run(x, new Map(weights), undefined, lane)));
    const before = await run();
    const others = weightsOf();
    for (const [name, weight] of weights) {
      weight.set(others.get(name)!);
      (weights as Map<string, Float32Array>).set(name, new Float32Array(weight.buffer as ArrayBuffer));
    }
    const expected = await executable.run(x, others);
    for (const [lane, output] of (await run()).entries()) {
      expect(largestDifference(before[lane]!, output)).toBeGreaterThan(0.1);
      expect(largestDifference(expected, output)).toBe(0);
    }
  });

  it.skipIf(of.isSkipped)("sums are those of runs one after the other, to the last bit", async () => {
    const weights = weightsOf();
    // The first takes longest by far, so that others are done before it.
    const xs = [rowsOf(8), ...Array.from({ length: 5 }, () => rowsOf())];
    const inOrder = executable.observe("squaredNorms");
    expect(inOrder.lanes).toBe(THREADS);
    for (const x of xs) await inOrder.add(x, weights, 0);
    const expected = inOrder.sums().map((sum) => sum.slice());
    const beside = executable.observe("squaredNorms");
    const rows = await Promise.all(xs.map((x, i) => beside.add(x, weights, i % THREADS)));
    expect(rows).toEqual(xs.map(({ windows }) => expected.map(() => windows * TOKENS)));
    expect(beside.sums()).toEqual(expected);
  });

  it.skipIf(of.isSkipped)("a run that fails leaves its lane to the next one", async () => {
    const lanes = createLanes(of.precision as ElementType, THREADS)!;
    try {
      const product = (op: string): Graph => ({
        nodes: [{ op, inputs: ["x", "w"], outputs: ["y"], attributes: { transB: 1 } }],
        inputs: [
          { name: "x", type: "float", shape: [1, 2] },
          { name: "w", type: "float", shape: [1, 2] },
        ],
        outputs: [{ name: "y", type: "float", shape: [1, 1] }],
        constants: [],
      });
      const tensor = (...values: number[]) => new Tensor("float32", Float32Array.from(values), [1, values.length]);
      const run = (op: string) => lanes.open(product(op))(0, { x: tensor(1, 2), w: tensor(3, 4) }, { y: null });
      await expect(run("Einsum")).rejects.toThrow("needs onnxruntime");
      expect((await run("Gemm"))["y"]!.data).toEqual(Float32Array.of(11));
    } finally {
      await lanes.dispose();
    }
  });

  it.skipIf(of.isSkipped)("one thread makes no lanes, and many share theirs among a few", () => {
    const count = (threads: number) => createLanes(of.precision as ElementType, threads)?.count;
    expect([1, 2, 8, 9, 12, 16, 64].map(count)).toEqual([undefined, 2, 8, 4, 6, 8, 8]);
  });

  it.skipIf(of.isSkipped)("runs that add to one another's sums have no lanes", () => {
    expect(executable.observe("gram").lanes).toBe(1);
  });
});
