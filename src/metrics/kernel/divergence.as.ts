// AssemblyScript, compiled to WebAssembly by `npm run build`: the loops over the vocabulary of softmax.ts and divergence.ts, two
// tokens at a time. Those two files are the specification and have the derivations; what differs from them:
//
// - exp is 2^(k/1024) from a table times a cubic; relative error below 4e-16. Below exp(-708) it is 0, as there.
// - Divergences: the closed forms from |x| = 1/32 on, the series below, both where two tokens disagree. The closed forms'
//   rounding is at most 2e-12 of a token's term, at 1/32; the series leave out 5e-14 of it.
// - artanh is a polynomial through Chebyshev points of the interval that y can be in, error 2e-16 of 4 artanh y.
// - Each sum is kept as two, of the even and of the odd tokens. The order of operations is the same for either model and for
//   float32 and float64 logits, so that equal numbers give equal figures.
// - Terms of tokens with p + q < 1e-290 are not left out but as good as 0; rounding may make them negative, so the caller
//   takes no sum below 0.
//
// The caller (../kernel.ts) lays out the memory from `heap` on: rows of logits with a 0 after the last, and rows
// of exponentials with room for one more. Addresses are in bytes; T is f32 or f64, and `single` says which.

/** What the caller may write to begins here. */
export const heap: usize = __heap_base;

const TOP = 5;
/** The ids (i32) of the likeliest tokens, and their logits (f64), as findTop left them. */
export const topIds: usize = memory.data(TOP * 4, 16);
export const topLogits: usize = memory.data(TOP * 8, 16);
/** JSD, KL(P‖Q), KL(Q‖P) and the sum of |p - q|, four f64, as divergences left them. */
export const sums: usize = memory.data(4 * 8, 16);

/** The smallest logit that is kept so far. */
let fifth: f64 = 0;

function largestLogit<T>(): T {
  return (sizeof<T>() === 4 ? f32.MAX_VALUE : 1e300) as T;
}

/** Finds the five largest; false when a logit is NaN, infinite, or beyond ±1e300. */
export function findTop(row: usize, vocabulary: i32, single: bool): bool {
  return single ? findTopOf<f32>(row, vocabulary) : findTopOf<f64>(row, vocabulary);
}

function findTopOf<T>(row: usize, vocabulary: i32): bool {
  for (let rank = 0; rank < TOP; rank++) {
    store<i32>(topIds + rank * 4, -1);
    store<f64>(topLogits + rank * 8, -Infinity);
  }
  fifth = -Infinity;
  const block: i32 = 64 / (sizeof<T>() as i32);
  const blocksEnd = vocabulary - (vocabulary % block);
  let kept = v128.splat<T>(fifth as T);
  let lowest = v128.splat<T>(0 as T);
  let at = row;
  for (let i = 0; i < blocksEnd; i += block, at += 64) {
    const a = v128.load(at, 0);
    const b = v128.load(at, 16);
    const c = v128.load(at, 32);
    const d = v128.load(at, 48);
    lowest = v128.pmin<T>(v128.pmin<T>(lowest, v128.pmin<T>(a, b)), v128.pmin<T>(c, d));
    // False for NaN and +∞ too, which insert then finds.
    const nothingLarger = v128.and(
      v128.and(v128.le<T>(a, kept), v128.le<T>(b, kept)),
      v128.and(v128.le<T>(c, kept), v128.le<T>(d, kept)),
    );
    if (!i32x4.all_true(nothingLarger)) {
      if (!insert<T>(row, i, i + block)) return false;
      kept = v128.splat<T>(fifth as T);
    }
  }
  if (v128.any_true(v128.lt<T>(lowest, v128.splat<T>(-largestLogit<T>() as T)))) return false;
  return insert<T>(row, blocksEnd, vocabulary);
}

function insert<T>(row: usize, from: i32, to: i32): bool {
  for (let i = from; i < to; i++) {
    const value = load<T>(row + (i as usize) * sizeof<T>());
    if (!(abs<T>(value) <= largestLogit<T>())) return false;
    const logit = value as f64;
    if (logit <= fifth) continue;
    let rank = TOP - 1;
    for (; rank > 0 && load<f64>(topLogits + (rank - 1) * 8) < logit; rank--) {
      store<f64>(topLogits + rank * 8, load<f64>(topLogits + (rank - 1) * 8));
      store<i32>(topIds + rank * 4, load<i32>(topIds + (rank - 1) * 4));
    }
    store<f64>(topLogits + rank * 8, logit);
    store<i32>(topIds + rank * 4, i);
    fifth = load<f64>(topLogits + (TOP - 1) * 8);
  }
  return true;
}

const STEPS = 1024;
const STEPS_PER_UNIT: f64 = 1477.3197218702985;
// ln 2 / 1024 in two parts, as in softmax.ts.
const STEP_HIGH: f64 = 0.6931471803691238 / STEPS;
const STEP_LOW: f64 = 1.9082149292705877e-10 / STEPS;
/** Added to a small number it leaves that number, rounded to an integer, in the lowest bits. */
const ROUND: f64 = 6755399441055744;
const SMALLEST_EXPONENT: f64 = -708;
/** The bits of 2^(k/1024) for k in [0, 1024), less k << 42: exp below adds that again. */
const table: usize = memory.data(STEPS * 8, 16);
for (let k = 0; k < STEPS; k++) {
  store<i64>(table + k * 8, reinterpret<i64>(Math.exp2((k as f64) / STEPS)) - ((k as i64) << 42));
}

/** exp(x) for x <= 0. */
function exp(x: v128): v128 {
  const rounded = f64x2.add(f64x2.mul(x, f64x2.splat(STEPS_PER_UNIT)), f64x2.splat(ROUND));
  const k = f64x2.sub(rounded, f64x2.splat(ROUND));
  const high = f64x2.sub(x, f64x2.mul(k, f64x2.splat(STEP_HIGH)));
  const r = f64x2.sub(high, f64x2.mul(k, f64x2.splat(STEP_LOW)));
  // 1 + r + r²/2 + r³/6; r⁴/24 is below 6e-16, its best multiple of r² is added to the coefficient of r², and 1e-16 is left.
  const square = f64x2.add(f64x2.splat(0.5000000039539765), f64x2.mul(r, f64x2.splat(1.0 / 6)));
  const beyond1 = f64x2.add(r, f64x2.mul(f64x2.mul(r, r), square));
  // k mod 1024 in bytes of the table; k's bits from the tenth on go to the exponent.
  const offsets = v128.and(i64x2.shl(rounded, 3), i64x2.splat((STEPS - 1) << 3));
  const first = v128.load64_zero(i32x4.extract_lane(offsets, 0), table);
  const both = v128.load_lane<u64>(i32x4.extract_lane(offsets, 2), first, 1, table);
  const scale = i64x2.add(both, i64x2.shl(rounded, 42));
  const result = f64x2.add(scale, f64x2.mul(scale, beyond1));
  return v128.and(result, f64x2.gt(x, f64x2.splat(SMALLEST_EXPONENT)));
}

/** Two logits as float64. */
function two<T>(row: usize, i: usize): v128 {
  return sizeof<T>() === 4 ? f64x2.promote_low_f32x4(v128.load64_zero(row + i * 4)) : v128.load(row + i * 8);
}

/** Writes exp(logit - largest) and returns their sum without that of token `first`, which has the largest logit. */
export function exponentials(row: usize, vocabulary: i32, single: bool, first: i32, largest: f64, out: usize): f64 {
  return single
    ? exponentialsOf<f32>(row, vocabulary, first, largest, out)
    : exponentialsOf<f64>(row, vocabulary, first, largest, out);
}

function exponentialsOf<T>(row: usize, vocabulary: i32, first: i32, largest: f64, out: usize): f64 {
  const afterLast = row + (vocabulary as usize) * sizeof<T>();
  const atFirst = row + (first as usize) * sizeof<T>();
  store<T>(afterLast, -Infinity as T);
  store<T>(atFirst, -Infinity as T);
  const subtrahend = f64x2.splat(largest);
  let sum = f64x2.splat(0);
  for (let i: usize = 0; i < (vocabulary as usize); i += 2) {
    const e = exp(f64x2.sub(two<T>(row, i), subtrahend));
    v128.store(out + i * 8, e);
    sum = f64x2.add(sum, e);
  }
  // So the token after the last has exponential 0 and, where the vocabulary is odd, adds nothing to the divergences.
  store<T>(afterLast, 0 as T);
  store<T>(atFirst, largest as T);
  store<f64>(out + (first as usize) * 8, 1);
  return f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1);
}

/** P against Q, from their logits, exponentials and 1 / sum; `shift` is the difference ln P - ln Q of their normalisers. */
export function divergences(
  rowP: usize,
  rowQ: usize,
  vocabulary: i32,
  single: bool,
  exponentialsP: usize,
  exponentialsQ: usize,
  scaleP: f64,
  scaleQ: f64,
  shift: f64,
): void {
  if (single) divergencesOf<f32>(rowP, rowQ, vocabulary, exponentialsP, exponentialsQ, scaleP, scaleQ, shift);
  else divergencesOf<f64>(rowP, rowQ, vocabulary, exponentialsP, exponentialsQ, scaleP, scaleQ, shift);
}

// Constants of a loop that has more of them than there are registers. From memory each is one instruction; V8 makes a literal
// that it cannot keep anew in every round, by three.
const SERIES_BELOW = memory.data<f64>([1.0 / 32]);
const NO_PROBABILITY = memory.data<f64>([1e-290]);
const SQRT2 = memory.data<f64>([Math.SQRT2]);
const LN2 = memory.data<f64>([Math.LN2]);
/** The series of divergence.ts in powers of w = x²: (cosh x - 1) / w, (sinh x - x) / (x w), and four times JSD's over w. */
const EVEN = memory.data<f64>([1.0 / 2, 1.0 / 24, 1.0 / 720]);
const ODD = memory.data<f64>([1.0 / 6, 1.0 / 120, 1.0 / 5040]);
const JSD4 = memory.data<f64>([1.0 / 4, -1.0 / 32, 1.0 / 288, -17.0 / 46080]);
/** 4 artanh(y) / y in powers of y². */
const ARTANH4 = memory.data<f64>([
  4.000000000000001, 1.3333333333310584, 0.8000000012348323, 0.5714283204221534, 0.4444686909503581, 0.3624386886243043,
  0.33675319941360976,
]);

function divergencesOf<T>(
  rowP: usize,
  rowQ: usize,
  vocabulary: i32,
  exponentialsP: usize,
  exponentialsQ: usize,
  scaleP: f64,
  scaleQ: f64,
  shift: f64,
): void {
  let jsd4 = f64x2.splat(0); // four times the JSD
  let kl = f64x2.splat(0);
  let klReverse = f64x2.splat(0);
  let difference = f64x2.splat(0);
  for (let i: usize = 0; i < (vocabulary as usize); i += 2) {
    const p = f64x2.mul(v128.load(exponentialsP + i * 8), f64x2.splat(scaleP));
    const q = f64x2.mul(v128.load(exponentialsQ + i * 8), f64x2.splat(scaleQ));
    const x = f64x2.sub(f64x2.sub(two<T>(rowP, i), two<T>(rowQ, i)), f64x2.splat(shift));
    const sum = f64x2.add(p, q);
    const signed = f64x2.sub(p, q);
    const gap = f64x2.abs(signed);
    const size = f64x2.abs(x);
    difference = f64x2.add(difference, gap);
    const small = f64x2.lt(size, constant(SERIES_BELOW));
    const which = i64x2.bitmask(small);
    let termKl = f64x2.splat(0);
    let termKlReverse = f64x2.splat(0);
    let termJsd4 = f64x2.splat(0);
    if (which !== 3) {
      termKl = f64x2.sub(f64x2.mul(p, x), signed);
      termKlReverse = f64x2.sub(signed, f64x2.mul(q, x));
      const twiceLarger = f64x2.add(sum, gap);
      const root = f64x2.mul(sum, constant(SQRT2));
      // p and q that are both (nearly) 0 must not make it 0/0.
      const divisor = f64x2.pmax(f64x2.add(twiceLarger, root), constant(NO_PROBABILITY));
      const y = f64x2.div(f64x2.sub(twiceLarger, root), divisor);
      termJsd4 = f64x2.sub(
        f64x2.mul(sum, f64x2.add(constant(LN2), f64x2.mul(y, artanh4(f64x2.mul(y, y))))),
        f64x2.mul(f64x2.sub(sum, gap), size),
      );
    }
    if (which !== 0) {
      const w = f64x2.mul(x, x);
      const even = f64x2.mul(w, quadratic(w, EVEN));
      const odd = f64x2.mul(f64x2.mul(x, w), quadratic(w, ODD));
      termKl = v128.bitselect(f64x2.mul(p, f64x2.sub(even, odd)), termKl, small);
      termKlReverse = v128.bitselect(f64x2.mul(q, f64x2.add(even, odd)), termKlReverse, small);
      termJsd4 = v128.bitselect(f64x2.mul(sum, f64x2.mul(w, cubic(w, JSD4))), termJsd4, small);
    }
    kl = f64x2.add(kl, termKl);
    klReverse = f64x2.add(klReverse, termKlReverse);
    jsd4 = f64x2.add(jsd4, termJsd4);
  }
  store<f64>(sums, 0.25 * (f64x2.extract_lane(jsd4, 0) + f64x2.extract_lane(jsd4, 1)), 0);
  store<f64>(sums, f64x2.extract_lane(kl, 0) + f64x2.extract_lane(kl, 1), 8);
  store<f64>(sums, f64x2.extract_lane(klReverse, 0) + f64x2.extract_lane(klReverse, 1), 16);
  store<f64>(sums, f64x2.extract_lane(difference, 0) + f64x2.extract_lane(difference, 1), 24);
}

/** Both lanes of a constant. */
function constant(at: usize, offset: usize = 0): v128 {
  return v128.load_splat<u64>(at + offset);
}

/** a + b w, a and b at `at`. */
function linear(w: v128, at: usize): v128 {
  return f64x2.add(constant(at), f64x2.mul(w, constant(at, 8)));
}

/** a + b w + c w² */
function quadratic(w: v128, at: usize): v128 {
  return f64x2.add(constant(at), f64x2.mul(w, linear(w, at + 8)));
}

/** a + b w + c w² + d w³ */
function cubic(w: v128, at: usize): v128 {
  return f64x2.add(constant(at), f64x2.mul(w, quadratic(w, at + 8)));
}

/** 4 artanh(y) / y for w = y². In few steps that wait for each other. */
function artanh4(w: v128): v128 {
  const w2 = f64x2.mul(w, w);
  const low = f64x2.add(linear(w, ARTANH4), f64x2.mul(w2, linear(w, ARTANH4 + 16)));
  const high = f64x2.add(linear(w, ARTANH4 + 32), f64x2.mul(w2, constant(ARTANH4, 48)));
  return f64x2.add(low, f64x2.mul(f64x2.mul(w2, w2), high));
}
