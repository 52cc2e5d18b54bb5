import { dot } from "../../tensor/dot.js";
import type { Place } from "../cache.js";
import type { Rows, Seen } from "../engine.js";
import type { AttentionShape } from "../operations.js";
import type { Value } from "./value.js";

/** Where the keys and values that a window's tokens see begin: of token s, `at(window, head, s)`; `past` came before. */
interface Memory {
  readonly keys: Float64Array;
  readonly values: Float64Array;
  readonly at: (window: number, head: number, token: number) => number;
  readonly past: (window: number) => number;
}

/** The new keys and values as they are, or among those of the cache, to which they are added. */
export function remembered(
  k: Value,
  v: Value,
  { keyValueHeads, headSize }: AttentionShape,
  { windows, tokens }: Rows,
  place: Place | undefined,
): Memory {
  const inRows = (window: number, head: number, token: number) =>
    (window * tokens + token) * k.columns + head * headSize;
  if (!place) return { keys: k.data, values: v.data, at: inRows, past: () => 0 };
  const { keys, values, size, capacity } = place.cache;
  const at = (window: number, head: number, token: number) =>
    (((place.first + window) * keyValueHeads + head) * capacity + token) * size;
  const past = (window: number) => place.lengths[window]!;
  for (let window = 0; window < windows; window++) {
    for (let head = 0; head < keyValueHeads; head++) {
      for (let t = 0; t < tokens; t++) {
        const from = inRows(window, head, t);
        const to = at(window, head, past(window) + t);
        keys.set(k.data.subarray(from, from + headSize), to);
        values.set(v.data.subarray(from, from + headSize), to);
      }
    }
  }
  return { keys: keys as Float64Array, values: values as Float64Array, at, past };
}

export function attention(
  q: Value,
  shape: AttentionShape,
  { windows, tokens }: Rows,
  memory: Memory,
  seen: readonly Seen[] | undefined,
): Value {
  const { heads, keyValueHeads, headSize, scale, softCap, slopes, window: span = memory.keys.length } = shape;
  const { keys, values, at } = memory;
  const position = (row: number) => seen?.[row]?.position ?? row;
  const data = new Float64Array(q.data.length);
  for (let window = 0; window < windows; window++) {
    const past = memory.past(window);
    const scores = new Float64Array(past + tokens);
    for (let t = past; t < past + tokens; t++) {
      const visible = rowsSeen(seen?.[t]?.ranges ?? [[0, t + 1]]).slice(-span);
      for (let head = 0; head < heads; head++) {
        const shared = Math.floor(head / (heads / keyValueHeads));
        const query = (window * tokens + t - past) * q.columns + head * headSize;
        let max = Number.NEGATIVE_INFINITY;
        for (const s of visible) {
          let score = dot(q.data, query, keys, at(window, shared, s), headSize) * scale;
          if (softCap) score = softCap * Math.tanh(score / softCap);
          if (slopes) score -= slopes[head]! * (position(t) - position(s));
          scores[s] = score;
          max = Math.max(max, score);
        }
        let total = 0;
        for (const s of visible) {
          scores[s] = Math.exp(scores[s]! - max);
          total += scores[s]!;
        }
        for (const s of visible) {
          const share = scores[s]! / total;
          const value = at(window, shared, s);
          for (let i = 0; i < headSize; i++) data[query + i]! += share * values[value + i]!;
        }
      }
    }
  }
  return { data, columns: q.columns };
}

/** The rows of ranges, one after the other. */
function rowsSeen(ranges: Seen["ranges"]): number[] {
  return ranges.flatMap(([from, to]) => Array.from({ length: to - from }, (_, i) => from + i));
}
