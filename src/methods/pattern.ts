import { MAGNITUDE } from "../tensor/select.js";

/** Up to this many, comparing each value of a group with every other is fastest. */
const SHORT = 32;

/**
 * Of every m consecutive magnitudes marks the n smallest with 1 and the others with 0; `bits` are those of float32
 * numbers without NaN, their length a multiple of m.
 *
 * Which of several equal magnitudes go is arbitrary, but it changes the model, and bfloat16 weights often tie. So that
 * masks are those of the methods' published code, the choice is that of the torch.topk it calls, as built for Linux
 * CPUs: a std::nth_element of pairs compared by value alone (Musser's introselect, 1997, in libstdc++'s order of steps).
 */
export function markGroups(
  bits: Uint32Array,
  { n, m }: { readonly n: number; readonly m: number },
  mask: Uint8Array,
): void {
  for (let begin = 0; begin < bits.length; begin += m) {
    if (m > SHORT || !markDistinct(bits, begin, begin + m, n, mask)) markSelected(bits, begin, begin + m, n, mask);
  }
}

/**
 * Marks what has fewer than n smaller ones; false if equals make that more than n. The sign bit of a difference stands for
 * "less than": no branch to predict.
 */
function markDistinct(bits: Uint32Array, begin: number, end: number, n: number, mask: Uint8Array): boolean {
  let marked = 0;
  for (let i = begin; i < end; i++) {
    const magnitude = bits[i]! & MAGNITUDE;
    let smaller = 0;
    for (let j = begin; j < end; j++) smaller += ((bits[j]! & MAGNITUDE) - magnitude) >>> 31;
    const low = (smaller - n) >>> 31;
    mask[i] = low;
    marked += low;
  }
  return marked === n;
}

function markSelected(bits: Uint32Array, begin: number, end: number, n: number, mask: Uint8Array): void {
  const size = end - begin;
  const order = Int32Array.from({ length: size }, (_, i) => begin + i);
  selectFirst(order, n, (a, b) => (bits[a]! & MAGNITUDE) < (bits[b]! & MAGNITUDE));
  mask.fill(0, begin, end);
  for (let i = 0; i < n; i++) mask[order[i]!] = 1;
}

/** Puts the `count` least elements first. */
function selectFirst(order: Int32Array, count: number, less: (a: number, b: number) => boolean): void {
  const swap = (i: number, j: number) => {
    const held = order[i]!;
    order[i] = order[j]!;
    order[j] = held;
  };
  const before = (i: number, j: number) => less(order[i]!, order[j]!);
  let first = 0;
  let last = order.length;
  while (last - first > 3) {
    swap(first, medianOf(first + 1, first + ((last - first) >>> 1), last - 1, before));
    let low = first + 1;
    let high = last;
    for (;;) {
      while (before(low, first)) low++;
      high--;
      while (before(first, high)) high--;
      if (low >= high) break;
      swap(low, high);
      low++;
    }
    if (low <= count - 1) first = low;
    else last = low;
  }
  for (let i = first + 1; i < last; i++) {
    for (let j = i; j > first && before(j, j - 1); j--) swap(j, j - 1);
  }
}

/** Which of three places holds the median; among equals the place that the comparisons end at. */
function medianOf(a: number, b: number, c: number, before: (i: number, j: number) => boolean): number {
  if (before(a, b)) return before(b, c) ? b : before(a, c) ? c : a;
  return before(a, c) ? a : before(b, c) ? c : b;
}
