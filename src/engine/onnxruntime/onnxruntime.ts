import { availableParallelism } from "node:os";
import { env, InferenceSession, Tensor } from "onnxruntime-node";
import type { FloatArray, Matrix } from "../../tensor/matrix.js";
import { describe } from "../describe.js";
import type { Engine, Executable, Observable, Rows, Weights } from "../engine.js";
import { type Program, ropeAngle } from "../operations.js";
import { encodeModel, type Graph } from "./onnx.js";
import { GROUPS, OUTPUT, observedName, type Traced, trace } from "./trace.js";

/**
 * The default engine: onnxruntime on the CPU in float32. One graph a kind of block, with the weights as inputs, so that
 * one session serves every layer, dense or compressed. Feeds are views of JavaScript's memory, not copies.
 */
export function createOnnxRuntimeEngine(options: { threads?: number } = {}): Engine {
  const threads = options.threads ?? availableParallelism();
  const executables = new Map<string, Promise<Executable>>();
  const sessions: InferenceSession[] = [];
  const open = async (graph: Graph): Promise<InferenceSession> => {
    const session = await InferenceSession.create(encodeModel(graph), {
      executionProviders: ["cpu"],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      logSeverityLevel: 3,
    });
    sessions.push(session);
    return session;
  };
  let product: Promise<InferenceSession> | undefined;
  return {
    name: "onnxruntime",
    precision: "float32",
    version: `onnxruntime-node ${env.versions.node ?? env.versions.common}, CPU`,
    compile(program) {
      let executable = executables.get(program.key);
      if (!executable) {
        executable = Promise.resolve(compile(program, open));
        executables.set(program.key, executable);
      }
      return executable;
    },
    async multiply(a, b) {
      product ??= open(PRODUCT);
      return multiply(await product, a, b);
    },
    async dispose() {
      for (const session of sessions.splice(0)) await session.release();
      executables.clear();
      product = undefined;
    },
  };
}

/** Sessions are made when first needed: a program that is only run never pays for its observing graphs. */
function compile(program: Program, open: (graph: Graph) => Promise<InferenceSession>): Executable {
  const { inputs } = describe(program);
  const kinds = new Map<Observable | "run", { traced: Traced; session: Promise<InferenceSession> }>();
  const feeder = createFeeder(program);
  const prepare = (kind: Observable | "run") => {
    let found = kinds.get(kind);
    if (!found) {
      const traced = trace(program, kind === "run" ? undefined : kind);
      found = { traced, session: open(traced.graph) };
      kinds.set(kind, found);
    }
    return found;
  };
  return {
    async run(x, weights) {
      const { traced, session } = prepare("run");
      const rows = x.windows * x.tokens;
      const data = new Float32Array(rows * program.columns.out);
      await (await session).run(feeder(traced, x, weights), {
        [OUTPUT]: new Tensor("float32", data, [rows, program.columns.out]),
      });
      return data;
    },
    async observe(x, weights, what) {
      const { traced, session } = prepare(what);
      const outputs = await (await session).run(feeder(traced, x, weights));
      return inputs.map((_, i) => outputs[observedName(i)]!.data as FloatArray);
    },
  };
}

type Feeder = (traced: Traced, x: Rows, weights: Weights) => Record<string, Tensor>;

/** Makes a graph's feeds. The tables that depend on the windows' length alone are kept from run to run. */
function createFeeder(program: Program): Feeder {
  let tables: { key: string; feeds: Record<string, Tensor> } | undefined;
  return ({ graph, ropes, slidingWindows }, x, weights) => {
    const key = `${x.windows} ${x.tokens}`;
    if (tables?.key !== key) {
      const feeds: Record<string, Tensor> = { [GROUPS]: groupsOf(x.windows * x.tokens) };
      for (const [i, frequencies] of ropes.entries()) Object.assign(feeds, rotationTables(i, frequencies, x));
      for (const window of slidingWindows) feeds[`mask.${window}`] = maskTable(window, x.tokens);
      tables = { key, feeds };
    }
    const feeds: Record<string, Tensor> = {};
    for (const { name, shape } of graph.inputs) {
      if (name === "x") {
        feeds[name] = new Tensor("float32", x.data as Float32Array, [x.windows, x.tokens, program.columns.in]);
      } else {
        const weight = weights.get(name);
        const feed = weight ? new Tensor("float32", weight, shape as readonly number[]) : tables.feeds[name];
        if (!feed) throw new Error(`no parameter ${name} was given`);
        feeds[name] = feed;
      }
    }
    return feeds;
  };
}

/** Rows in groups of the largest size up to 32 that divides them. */
function groupsOf(rows: number): Tensor {
  let size = Math.min(32, rows);
  while (rows % size !== 0) size--;
  return new Tensor("int64", BigInt64Array.of(BigInt(rows / size), BigInt(size)), [2]);
}

function rotationTables(index: number, frequencies: readonly number[], { windows, tokens }: Rows) {
  const half = frequencies.length;
  const cos = new Float32Array(windows * tokens * half);
  const sin = new Float32Array(cos.length);
  for (let row = 0; row < windows * tokens; row++) {
    for (let i = 0; i < half; i++) {
      const angle = ropeAngle(row % tokens, frequencies[i]!);
      cos[row * half + i] = Math.cos(angle);
      sin[row * half + i] = Math.sin(angle);
    }
  }
  const shape = [windows, tokens, half];
  return {
    [`cos.${index}`]: new Tensor("float32", cos, shape),
    [`sin.${index}`]: new Tensor("float32", sin, shape),
  };
}

function maskTable(window: number, tokens: number): Tensor {
  const mask = new Float32Array(tokens * tokens).fill(Number.NEGATIVE_INFINITY);
  for (let t = 0; t < tokens; t++) mask.fill(0, t * tokens + Math.max(0, t - window + 1), t * tokens + t + 1);
  return new Tensor("float32", mask, [tokens, tokens]);
}

const PRODUCT: Graph = {
  nodes: [{ op: "MatMul", inputs: ["a", "b"], outputs: ["c"] }],
  inputs: [
    { name: "a", type: "double", shape: ["rows", "inner"] },
    { name: "b", type: "double", shape: ["inner", "columns"] },
  ],
  outputs: [{ name: "c", type: "double", shape: ["rows", "columns"] }],
  constants: [],
};

async function multiply(
  session: InferenceSession,
  a: Matrix<Float64Array>,
  b: Matrix<Float64Array>,
): Promise<Matrix<Float64Array>> {
  const { rows } = a;
  const { columns } = b;
  const data = new Float64Array(rows * columns);
  await session.run(
    { a: new Tensor("float64", a.data, [a.rows, a.columns]), b: new Tensor("float64", b.data, [b.rows, b.columns]) },
    { c: new Tensor("float64", data, [rows, columns]) },
  );
  return { rows, columns, data };
}
