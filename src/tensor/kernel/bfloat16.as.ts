// AssemblyScript, compiled to WebAssembly by `npm run build`: the loops of ../dtype.ts over bfloat16, which is the specification,
// eight numbers at a time. The caller (../bfloat16.ts) lays out the memory from `heap` on; addresses are in bytes and
// `count` is a multiple of eight.

/** What the caller may write to begins here. */
export const heap: usize = __heap_base;

/** bfloat16 as float32; whether all numbers are finite. */
export function widen(half: usize, out: usize, count: i32): bool {
  const end = half + ((<usize>count) << 1);
  const exponents = i16x8.splat(0x7f80);
  let found = i16x8.splat(0);
  for (; half < end; half += 16, out += 32) {
    const eight = v128.load(half);
    found = v128.or(found, i16x8.eq(v128.and(eight, exponents), exponents));
    v128.store(out, i32x4.shl(i32x4.extend_low_i16x8_u(eight), 16));
    v128.store(out, i32x4.shl(i32x4.extend_high_i16x8_u(eight), 16), 16);
  }
  return !v128.any_true(found);
}

/** float32 as bfloat16, rounded to nearest, ties to even. */
export function narrow(x: usize, half: usize, count: i32): void {
  const end = half + ((<usize>count) << 1);
  for (; half < end; half += 16, x += 32) {
    v128.store(half, i16x8.shuffle(rounded(v128.load(x)), rounded(v128.load(x, 16)), 1, 3, 5, 7, 9, 11, 13, 15));
  }
}

/** In the upper halves. A NaN keeps its upper payload, and must not become infinity when that part is zero. */
function rounded(bits: v128): v128 {
  const even = v128.and(i32x4.shr_u(bits, 16), i32x4.splat(1));
  const nearest = i32x4.add(i32x4.add(bits, i32x4.splat(0x7fff)), even);
  const isNoNumber = i32x4.gt_s(v128.and(bits, i32x4.splat(0x7fffffff)), i32x4.splat(0x7f800000));
  const isLost = i32x4.eq(v128.and(bits, i32x4.splat(0x7f0000)), i32x4.splat(0));
  const quiet = v128.or(bits, v128.and(isLost, i32x4.splat(0x400000)));
  return v128.bitselect(quiet, nearest, isNoNumber);
}
