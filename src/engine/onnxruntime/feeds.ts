import { cachedAttention, type Place } from "../cache.js";
import { type Rows, type Segment, seenInSegments, type Weight, type Weights } from "../engine.js";
import { type Program, type Rotation, ropeAngle } from "../operations.js";
import { attentionTables } from "./attention.js";
import { cacheTables } from "./cached-attention.js";
import { GROUPS } from "./observed.js";
import { Tensor } from "./ort.js";
import type { Feeds } from "./session.js";
import { positionsName, type Traced } from "./trace.js";

/** Makes what a graph is given of what it computes: rows, weights, and a place where they extend a cache. */
type Feeder = (traced: Traced, x: Rows, weights: Weights, place?: Place, others?: Feeds) => Feeds;

/**
 * Makes a graph's feeds. The tables that depend on the windows' lengths, on their segments and on how many tokens came
 * before are kept from run to run.
 */
export function createFeeder(program: Program): Feeder {
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
        const feed = weight ? asTensor(weight, shape as readonly number[]) : (tables[name] ?? others?.[name]);
        if (!feed) throw new Error(`no parameter ${name} was given`);
        feeds[name] = feed;
      }
    }
    return feeds;
  };
}

/** Bits of bfloat16 go as whole numbers: an engine that takes them knows what they are. */
function asTensor(weight: Weight, shape: readonly number[]): Tensor {
  return weight instanceof Float32Array ? new Tensor("float32", weight, shape) : new Tensor("uint16", weight, shape);
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
