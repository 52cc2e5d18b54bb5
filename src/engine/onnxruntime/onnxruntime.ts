import { availableParallelism } from "node:os";
import { env, InferenceSession, Tensor } from "onnxruntime-node";
import type { FloatArray, Matrix } from "../../tensor/matrix.js";
import { cachedAttention, type Place } from "../cache.js";
import { describe } from "../describe.js";
import { type Engine, type Executable, type Rows, type Segment, seenInSegments, type Weights } from "../engine.js";
import { type Program, type Rotation, ropeAngle } from "../operations.js";
import { attentionTables, chunksOf } from "./attention.js";
import { appendToCache, cacheFeeds, cacheTables, PROJECTED } from "./cached-attention.js";
import { addBands, bandTensors } from "./gram.js";
import { GROUPS, observedName, rowsName } from "./observed.js";
import { encodeModel, type Graph } from "./onnx.js";
import { OUTPUT, type Purpose, positionsName, type Traced, trace } from "./trace.js";

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
      extra: {
        session: {
          // Numbers below 1e-38 count as 0: attention is full of them, and computing with them takes many times as long.
          set_denormal_as_zero: "1",
          // Threads that wait for more work of one graph would keep the processor from the next graph's.
          force_spinning_stop: "1",
        },
      },
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

/** A graph for each purpose and number of attention chunks, made when first needed. */
function compile(program: Program, open: (graph: Graph) => Promise<InferenceSession>): Executable {
  const { inputs, attentions } = describe(program);
  const graphs = new Map<string, { traced: Traced; session: Promise<InferenceSession> }>();
  const feeder = createFeeder(program);
  let grams: Feeds | undefined; // the same memory for every run
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
    async run(x, weights, room) {
      const { traced, session } = prepare(x, "run");
      const { data, tensor } = output(x, room);
      await (await session).run(feeder(traced, x, weights), { [OUTPUT]: tensor });
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
    async observe(x, weights, what, sums) {
      const { traced, session } = prepare(x, what);
      const feeds = feeder(traced, x, weights);
      let outputs: Feeds;
      if (what === "squaredNorms") {
        outputs = await (await session).run(feeds);
        for (const [i, sum] of sums.entries()) add(sum, outputs[observedName(i)]!.data as Float64Array);
      } else {
        grams ??= Object.assign({}, ...inputs.map(({ columns }, i) => bandTensors(i, columns))) as Feeds;
        const counts = inputs.flatMap(({ gathered }, i) => (gathered ? [[rowsName(i), null]] : []));
        outputs = await (await session).run(feeds, { ...grams, ...Object.fromEntries(counts) });
        for (const [i, { columns }] of inputs.entries()) addBands(sums[i]!, grams, i, columns);
      }
      return inputs.map(({ gathered }, i) =>
        gathered ? Number((outputs[rowsName(i)]!.data as BigInt64Array)[0]) : x.windows * x.tokens,
      );
    },
  };
}

function add(sum: Float64Array, part: Float64Array): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += part[i]!;
}

type Feeds = Record<string, Tensor>;

type Feeder = (traced: Traced, x: Rows, weights: Weights, place?: Place, others?: Feeds) => Feeds;

/**
 * Makes a graph's feeds. The tables that depend on the windows' lengths, on their segments and on how many tokens came
 * before are kept from run to run.
 */
function createFeeder(program: Program): Feeder {
  let last: { key: string; tables: Feeds } | undefined;
  const ofSegments = new WeakMap<readonly Segment[], Feeds>();
  const keptTables = (traced: Traced, x: Rows, place: Place | undefined): Feeds => {
    if (x.segments) {
      const tables = ofSegments.get(x.segments) ?? makeTables(traced, x, undefined);
      ofSegments.set(x.segments, tables);
      return tables;
    }
    const key = `${x.windows} ${x.tokens} ${place ? `${place.cache.capacity} ${place.lengths}` : ""}`;
    if (last?.key === key) return last.tables;
    const tables = makeTables(traced, x, place?.lengths);
    if (place) Object.assign(tables, cacheTables(place, x, cachedAttention(program)));
    last = { key, tables };
    return tables;
  };
  return (traced, x, weights, place, others) => {
    const tables = keptTables(traced, x, place);
    const feeds: Feeds = {};
    for (const { name, shape } of traced.graph.inputs) {
      if (name === "x") {
        feeds[name] = new Tensor("float32", x.data as Float32Array, [x.windows, x.tokens, program.columns.in]);
      } else {
        const weight = weights.get(name);
        const feed = weight
          ? new Tensor("float32", weight, shape as readonly number[])
          : (tables[name] ?? others?.[name]);
        if (!feed) throw new Error(`no parameter ${name} was given`);
        feeds[name] = feed;
      }
    }
    return feeds;
  };
}

function makeTables(
  { rotations, offsets, attentionKinds }: Traced,
  x: Rows,
  past: readonly number[] | undefined,
): Feeds {
  const seen = x.segments && seenInSegments(x.segments);
  const feeds: Feeds = { [GROUPS]: groupsOf(x.windows * x.tokens) };
  const positions = seen?.map(({ position }) => position) ?? positionsOf(x, past);
  for (const [i, rotation] of rotations.entries()) Object.assign(feeds, rotationTables(i, rotation, x, positions));
  for (const offset of offsets) {
    const rows = BigInt64Array.from(positions, (position) => BigInt(position + offset));
    feeds[positionsName(offset)] = new Tensor("int64", rows, [rows.length]);
  }
  for (const kind of attentionKinds) Object.assign(feeds, attentionTables(kind, x.tokens, seen));
  return feeds;
}

/** Rows in groups of the largest size up to 32 that divides them. */
function groupsOf(rows: number): Tensor {
  let size = Math.min(32, rows);
  while (rows % size !== 0) size--;
  return new Tensor("int64", BigInt64Array.of(BigInt(rows / size), BigInt(size)), [2]);
}

/** The position of every row in its window, after what came before. */
function positionsOf({ windows, tokens }: Rows, past: readonly number[] | undefined): number[] {
  return Array.from({ length: windows * tokens }, (_, row) => (past?.[Math.floor(row / tokens)] ?? 0) + (row % tokens));
}

function rotationTables(
  index: number,
  { frequencies, amplitude = 1 }: Rotation,
  { windows, tokens }: Rows,
  positions: readonly number[],
) {
  const half = frequencies.length;
  const cos = new Float32Array(positions.length * half);
  const sin = new Float32Array(cos.length);
  for (const [row, position] of positions.entries()) {
    for (let i = 0; i < half; i++) {
      const angle = ropeAngle(position, frequencies[i]!);
      cos[row * half + i] = Math.cos(angle) * amplitude;
      sin[row * half + i] = Math.sin(angle) * amplitude;
    }
  }
  const shape = [windows, tokens, half];
  return {
    [`cos.${index}`]: new Tensor("float32", cos, shape),
    [`sin.${index}`]: new Tensor("float32", sin, shape),
  };
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
