import { availableParallelism } from "node:os";
import { InputError, RunError } from "../../errors.js";
import type { FloatArray, Matrix } from "../../tensor/matrix.js";
import { cachedAttention } from "../cache.js";
import { describe } from "../describe.js";
import type { Device, Engine, Executable, Observable, Rows, Weights } from "../engine.js";
import type { Program } from "../operations.js";
import { chunksOf } from "./attention.js";
import { appendToCache, cacheFeeds, PROJECTED } from "./cached-attention.js";
import { createFeeder } from "./feeds.js";
import { gramSums } from "./gram.js";
import { normSums, rowsName, type Sums } from "./observed.js";
import type { Graph } from "./onnx.js";
import { Tensor } from "./ort.js";
import { checkDevice, type Open, openSession, type Session, versionOn } from "./session.js";
import { OUTPUT, type Purpose, type Traced, trace } from "./trace.js";

/**
 * onnxruntime in float32. One graph a kind of block, with the weights as inputs, so that one session
 * serves every layer, dense or compressed. Feeds are views of JavaScript's memory, not copies. Throws InputError for a
 * device that the package does not have on this system.
 */
export function createOnnxRuntimeEngine(options: { threads?: number; frugal?: boolean; device?: Device } = {}): Engine {
  const { device = "cpu", threads = availableParallelism() } = options;
  checkDevice(device);
  const version = versionOn(device);
  const takes = { takesBfloat16: false, takesShared: false } as const;
  const of = { name: "onnxruntime", precision: "float32", device, threads, version, packedBytes: 0, ...takes } as const;
  const open: Open = (graph) => openSession(graph, { ...options, threads });
  if (device === "cpu") return createGraphEngine({ ...of, open });
  const reason = (error: unknown) => (error instanceof Error ? error.message : String(error)).split("\n")[0];
  const engine = createGraphEngine({
    ...of,
    async open(graph) {
      try {
        return await open(graph);
      } catch (error) {
        throw new RunError(`--device ${device}: ${reason(error)}`, { cause: error });
      }
    },
  });
  return {
    ...engine,
    async check() {
      try {
        await (await open(product("float"))).release();
      } catch (error) {
        throw new InputError(`--device ${device}: does not run here: ${reason(error)}`, { cause: error });
      }
    },
  };
}

/** An engine that computes ONNX graphs, however `open` does it. */
export function createGraphEngine({
  open: openGraph,
  lanesOf = () => 1,
  ...of
}: Omit<Engine, "check" | "compile" | "multiply" | "dispose"> & {
  readonly open: Open;
  /** How many runs of a program it can compute side by side. */
  readonly lanesOf?: (program: Program) => number;
}): Engine {
  const executables = new Map<string, Promise<Executable>>();
  const sessions: Session[] = [];
  const open: Open = async (graph) => {
    const session = await openGraph(graph);
    sessions.push(session);
    return session;
  };
  let products: Promise<Session> | undefined;
  return {
    ...of,
    compile(program) {
      let executable = executables.get(program.key);
      if (!executable) {
        executable = Promise.resolve(compile(program, open, lanesOf(program)));
        executables.set(program.key, executable);
      }
      return executable;
    },
    async multiply(a, b) {
      products ??= open(product("double"));
      return multiply(await products, a, b);
    },
    async dispose() {
      for (const session of sessions.splice(0)) await session.release();
      executables.clear();
      products = undefined;
    },
  };
}

/** A graph for each purpose and number of attention chunks, made when first needed. */
function compile(program: Program, open: Open, lanes: number): Executable {
  const { inputs, attentions } = describe(program);
  const graphs = new Map<string, { traced: Traced; session: Promise<Session> }>();
  const feeder = createFeeder(program);
  const sizes = inputs.map(({ columns }) => columns);
  const counts = Object.fromEntries(inputs.flatMap(({ gathered }, i) => (gathered ? [[rowsName(i), null]] : [])));
  const known = new Map<Observable, Sums>(); // the same memory for every layer
  const sumsOf = (what: Observable): Sums => {
    const sums = known.get(what) ?? (what === "gram" ? gramSums(sizes) : normSums(sizes));
    known.set(what, sums);
    return sums;
  };
  const prepare = ({ tokens }: Rows, purpose: Purpose) => {
    const isWhole = purpose !== "extend" && purpose !== "project";
    const chunks = attentions.length > 0 && isWhole ? chunksOf(tokens) : 1;
    const key = `${purpose} ${chunks}`;
    let found = graphs.get(key);
    if (!found) {
      const traced = trace(program, purpose, chunks);
      found = { traced, session: open(traced.graph) };
      graphs.set(key, found);
    }
    return found;
  };
  const output = ({ windows, tokens }: Rows, room: FloatArray | undefined) => {
    const rows = windows * tokens;
    const size = rows * program.columns.out;
    const data = room instanceof Float32Array && room.length === size ? room : new Float32Array(size);
    return { data, tensor: new Tensor("float32", data, [rows, program.columns.out]) };
  };
  return {
    lanes,
    async run(x, weights, room, lane) {
      const { traced, session } = prepare(x, "run");
      const { data, tensor } = output(x, room);
      await (await session).run(feeder(traced, x, weights), { [OUTPUT]: tensor }, lane);
      return data;
    },
    async extend(x, weights, place, room) {
      const before = prepare(x, "project");
      const projected = await (await before.session).run(feeder(before.traced, x, weights, place));
      const [queries, keys, values] = PROJECTED.map((name) => projected[name]!.data as Float32Array);
      appendToCache(place, x, keys!, values!);
      const { traced, session } = prepare(x, "extend");
      const { data, tensor } = output(x, room);
      const feeds = feeder(traced, x, weights, place, cacheFeeds(place, x, queries!, cachedAttention(program)));
      await (await session).run(feeds, { [OUTPUT]: tensor });
      return data;
    },
    observe(what) {
      const sums = sumsOf(what);
      sums.begin();
      let last: Promise<unknown> = Promise.resolve();
      return {
        // A Gram matrix is summed where it is, by one run after the other.
        lanes: what === "gram" ? 1 : lanes,
        add(x, weights, lane) {
          const added = addRun(last, x, weights, lane);
          last = added.catch(() => {});
          return added;
        },
        sums: () => sums.take(),
      };

      async function addRun(before: Promise<unknown>, x: Rows, weights: Weights, lane: number | undefined) {
        const { traced, session } = prepare(x, what);
        const feeds = feeder(traced, x, weights, undefined, sums.feeds);
        const outputs = await (await session).run(feeds, { ...counts, ...sums.fetches }, lane);
        await before;
        sums.ran(outputs);
        return inputs.map(({ gathered }, i) =>
          gathered ? Number((outputs[rowsName(i)]!.data as BigInt64Array)[0]) : x.windows * x.tokens,
        );
      }
    },
  };
}

/** c = a b. */
function product(type: "double" | "float"): Graph {
  return {
    nodes: [{ op: "MatMul", inputs: ["a", "b"], outputs: ["c"] }],
    inputs: [
      { name: "a", type, shape: ["rows", "inner"] },
      { name: "b", type, shape: ["inner", "columns"] },
    ],
    outputs: [{ name: "c", type, shape: ["rows", "columns"] }],
    constants: [],
  };
}

async function multiply(
  session: Session,
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
