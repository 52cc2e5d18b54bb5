// AssemblyScript, compiled to WebAssembly by `npm run build`: what a block computes between its matrix products. The caller (../arena.ts)
// lays out the memory from `heap` on; addresses are in bytes, numbers are f32. Where a function has `out` and `operand`, it
// writes its result as f32 to the one and rounded to bfloat16 to the other; 0: not at all.

/** What the caller may write to begins here. */
export const heap: usize = __heap_base;

/** Operands lie this much nearer to one another than f32: in two bytes; 0 where they are f32 that is rounded. */
let shift: usize = 1;

/** Whether operands are kept as f32. */
export function keepWide(isWide: bool): void {
  shift = isWide ? 0 : 1;
}

/** The half of f32 that bfloat16 has. */
const UPPER: i32 = 0xffff0000;

/** Eight numbers as bfloat16. */
function halves(a: v128, b: v128): v128 {
  return i16x8.shuffle(rounded(a), rounded(b), 1, 3, 5, 7, 9, 11, 13, 15);
}

/** Rounded to nearest, ties to even, in the upper halves. Unlike a stored one, a NaN becomes a quiet one, which is quicker. */
function rounded(x: v128): v128 {
  const even = v128.and(i32x4.shr_u(x, 16), i32x4.splat(1));
  const nearest = i32x4.add(i32x4.add(x, i32x4.splat(0x7fff)), even);
  return v128.bitselect(nearest, v128.or(x, i32x4.splat(0x400000)), f32x4.eq(x, x));
}

function half1(x: f32): u16 {
  const bits = reinterpret<u32>(x);
  if ((bits & 0x7fffffff) > 0x7f800000) return <u16>((bits >> 16) | 0x40);
  return <u16>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

function lanes(x: v128): f32 {
  return f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1) + (f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3));
}

/** x / sqrt(mean(x²) + epsilon) · weight, over each row of `columns` numbers. */
export function rmsNorm(
  x: usize,
  weight: usize,
  out: usize,
  operand: usize,
  columns: i32,
  epsilon: f32,
  rows: i32,
): void {
  const bytes = (<usize>columns) << 2;
  for (let r = 0; r < rows; r++) {
    const row = x + <usize>r * bytes;
    let a = f32x4.splat(0);
    let b = f32x4.splat(0);
    let i: usize = 0;
    for (; i + 32 <= bytes; i += 32) {
      const one = v128.load(row + i);
      const two = v128.load(row + i, 16);
      a = f32x4.add(a, f32x4.mul(one, one));
      b = f32x4.add(b, f32x4.mul(two, two));
    }
    let sum = lanes(f32x4.add(a, b));
    for (; i < bytes; i += 4) {
      const one = load<f32>(row + i);
      sum += one * one;
    }
    const factor: f32 = 1 / sqrt<f32>(sum / <f32>columns + epsilon);
    const four = f32x4.splat(factor);
    const to32 = out ? out + <usize>r * bytes : 0;
    const toOperand = operand ? operand + ((<usize>r * bytes) >> shift) : 0;
    i = 0;
    for (; i + 32 <= bytes; i += 32) {
      const one = f32x4.mul(f32x4.mul(v128.load(row + i), four), v128.load(weight + i));
      const two = f32x4.mul(f32x4.mul(v128.load(row + i, 16), four), v128.load(weight + i, 16));
      store8(to32, toOperand, i, one, two);
    }
    for (; i < bytes; i += 4) store1(to32, toOperand, i, load<f32>(row + i) * factor * load<f32>(weight + i));
  }
}

/** a + b. */
export function add(a: usize, b: usize, out: usize, operand: usize, count: i32): void {
  pairwise(a, b, out, operand, count, false);
}

/** a · b. */
export function multiply(a: usize, b: usize, out: usize, operand: usize, count: i32): void {
  pairwise(a, b, out, operand, count, true);
}

function pairwise(a: usize, b: usize, out: usize, operand: usize, count: i32, isProduct: bool): void {
  let i: usize = 0;
  const end: usize = count;
  for (; i + 8 <= end; i += 8) {
    const at = i << 2;
    const one = both4(v128.load(a + at), v128.load(b + at), isProduct);
    const two = both4(v128.load(a + at, 16), v128.load(b + at, 16), isProduct);
    store8(out, operand, at, one, two);
  }
  for (; i < end; i++) {
    const x = load<f32>(a + (i << 2));
    const y = load<f32>(b + (i << 2));
    store1(out, operand, i << 2, isProduct ? x * y : x + y);
  }
}

function both4(a: v128, b: v128, isProduct: bool): v128 {
  return isProduct ? f32x4.mul(a, b) : f32x4.add(a, b);
}

/**
 * Rotates the first 2 · pairs numbers of every head by the row's cosines and sines [rows, pairs], the first half with the second;
 * a head's other numbers stay. [rows, heads · size]
 */
export function rope(
  x: usize,
  cos: usize,
  sin: usize,
  out: usize,
  operand: usize,
  heads: i32,
  size: i32,
  pairs: i32,
  rows: i32,
): void {
  const turned = (<usize>pairs) << 2;
  const bytes = (<usize>size) << 2;
  for (let r = 0; r < rows; r++) {
    const c = cos + <usize>r * turned;
    const s = sin + <usize>r * turned;
    for (let h = 0; h < heads; h++) {
      const at = <usize>(r * heads + h) * bytes;
      const row = x + at;
      const to32 = out ? out + at : 0;
      const toOperand = operand ? operand + (at >> shift) : 0;
      let i: usize = 0;
      for (; i + 32 <= turned; i += 32) {
        const first = v128.load(row + i);
        const first4 = v128.load(row + i, 16);
        const second = v128.load(row + turned + i);
        const second4 = v128.load(row + turned + i, 16);
        const cosines = v128.load(c + i);
        const cosines4 = v128.load(c + i, 16);
        const sines = v128.load(s + i);
        const sines4 = v128.load(s + i, 16);
        store8(
          to32,
          toOperand,
          i,
          f32x4.sub(f32x4.mul(first, cosines), f32x4.mul(second, sines)),
          f32x4.sub(f32x4.mul(first4, cosines4), f32x4.mul(second4, sines4)),
        );
        store8(
          to32,
          toOperand,
          turned + i,
          f32x4.add(f32x4.mul(second, cosines), f32x4.mul(first, sines)),
          f32x4.add(f32x4.mul(second4, cosines4), f32x4.mul(first4, sines4)),
        );
      }
      for (; i < turned; i += 4) {
        const first = load<f32>(row + i);
        const second = load<f32>(row + turned + i);
        const cosine = load<f32>(c + i);
        const sine = load<f32>(s + i);
        store1(to32, toOperand, i, first * cosine - second * sine);
        store1(to32, toOperand, turned + i, second * cosine + first * sine);
      }
      for (i = turned << 1; i < bytes; i += 4) store1(to32, toOperand, i, load<f32>(row + i));
    }
  }
}

/** Eight numbers, and one, as f32 and as operands, `at` bytes of f32 from the beginning; 0: not there. */
function store8(out: usize, operand: usize, at: usize, a: v128, b: v128): void {
  if (out) {
    v128.store(out + at, a);
    v128.store(out + at, b, 16);
  }
  if (!operand) return;
  if (shift) {
    v128.store(operand + (at >> 1), halves(a, b));
  } else {
    v128.store(operand + at, v128.and(rounded(a), i32x4.splat(UPPER)));
    v128.store(operand + at, v128.and(rounded(b), i32x4.splat(UPPER)), 16);
  }
}

function store1(out: usize, operand: usize, at: usize, x: f32): void {
  if (out) store<f32>(out + at, x);
  if (!operand) return;
  if (shift) store<u16>(operand + (at >> 1), half1(x));
  else store<u32>(operand + at, (<u32>half1(x)) << 16);
}

/** x as operands; these may be x itself where they are f32. */
export function round(x: usize, operand: usize, count: i32): void {
  const bytes = (<usize>count) << 2;
  let i: usize = 0;
  for (; i + 32 <= bytes; i += 32) store8(0, operand, i, v128.load(x + i), v128.load(x + i, 16));
  for (; i < bytes; i += 4) store1(0, operand, i, load<f32>(x + i));
}

/**
 * Of x [windows, tokens, heads, size] the tokens [begin, begin + queries) of each window, head by head, [windows, heads, queries,
 * size], times a factor.
 */
export function pack(
  x: usize,
  out: usize,
  operand: usize,
  factor: f32,
  windows: i32,
  tokens: i32,
  begin: i32,
  queries: i32,
  heads: i32,
  size: i32,
): void {
  const four = f32x4.splat(factor);
  const bytes = (<usize>size) << 2;
  for (let w = 0; w < windows; w++) {
    for (let h = 0; h < heads; h++) {
      let row = x + <usize>((w * tokens + begin) * heads + h) * bytes;
      for (let q = 0; q < queries; q++, row += bytes * heads) {
        let i: usize = 0;
        for (; i + 32 <= bytes; i += 32) {
          const one = f32x4.mul(v128.load(row + i), four);
          const two = f32x4.mul(v128.load(row + i, 16), four);
          store8(out, operand, i, one, two);
        }
        for (; i < bytes; i += 4) store1(out, operand, i, load<f32>(row + i) * factor);
        if (operand) operand += bytes >> shift;
        if (out) out += bytes;
      }
    }
  }
}

/**
 * Adds a mask [queries, keys] to matrices of scores [queries, keys], to every row from its first column on that is not 0, i32
 * [queries]. Rows count through the matrices.
 */
export function mask(scores: usize, add: usize, firsts: usize, queries: i32, keys: i32, rows: i32): void {
  const bytes = (<usize>keys) << 2;
  for (let r = 0; r < rows; r++, scores += bytes) {
    const query = r % queries;
    const added = add + <usize>query * bytes;
    let i = (<usize>load<i32>(firsts + ((<usize>query) << 2))) << 2;
    for (; i + 16 <= bytes; i += 16) v128.store(scores + i, f32x4.add(v128.load(scores + i), v128.load(added + i)));
    for (; i < bytes; i += 4) store<f32>(scores + i, load<f32>(scores + i) + load<f32>(added + i));
  }
}

/**
 * Σ x² of every column, f64; a few rows are summed in f32, those sums in f64: one long f32 sum would choose other weights to
 * prune where two scores are close, and what that changes grows from block to block. x f32, or bfloat16 if isHalf; room for
 * a row of f32.
 */
export function squares(x: usize, isHalf: bool, sums: usize, room: usize, rows: i32, columns: i32): void {
  const end = (<usize>columns) << 2;
  memory.fill(sums, 0, end << 1);
  const stride = isHalf ? end >> 1 : end;
  for (let r = 0; r < rows; ) {
    const to = min(r + 32, rows);
    memory.fill(room, 0, end);
    for (; r + 4 <= to; r += 4, x += stride << 2) {
      let i: usize = 0;
      for (; i + 16 <= end; i += 16) {
        const first = f32x4.add(square4(x, i, isHalf), square4(x + stride, i, isHalf));
        const second = f32x4.add(square4(x + 2 * stride, i, isHalf), square4(x + 3 * stride, i, isHalf));
        v128.store(room + i, f32x4.add(v128.load(room + i), f32x4.add(first, second)));
      }
      for (; i < end; i += 4) {
        const first = square(x, i, isHalf) + square(x + stride, i, isHalf);
        const second = square(x + 2 * stride, i, isHalf) + square(x + 3 * stride, i, isHalf);
        store<f32>(room + i, load<f32>(room + i) + (first + second));
      }
    }
    for (; r < to; r++, x += stride) {
      for (let i: usize = 0; i < end; i += 4) {
        store<f32>(room + i, load<f32>(room + i) + square(x, i, isHalf));
      }
    }
    for (let i: usize = 0; i < end; i += 4) {
      const sum = sums + (i << 1);
      store<f64>(sum, load<f64>(sum) + load<f32>(room + i));
    }
  }
}

function square4(row: usize, i: usize, isHalf: bool): v128 {
  const four = isHalf ? i32x4.shl(v128.load16x4_u(row + (i >> 1)), 16) : v128.load(row + i);
  return f32x4.mul(four, four);
}

function square(row: usize, i: usize, isHalf: bool): f32 {
  const one = isHalf ? reinterpret<f32>((<u32>load<u16>(row + (i >> 1))) << 16) : load<f32>(row + i);
  return one * one;
}
