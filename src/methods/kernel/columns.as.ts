// AssemblyScript, compiled to WebAssembly by `npm run build`: correctRows of ../columns.ts, which is the specification, with
// the same operations in the same order, two columns at a time. The caller (../columns.ts) lays out the memory from `heap`
// on; addresses are in bytes.

/** What the caller may write to begins here. */
export const heap: usize = __heap_base;

/** values f64 [rows, width], mask u8 [rows, width], u f64 [width, width]; room for 16 bytes of each of a unit's columns. */
export function correctRows(
  values: usize,
  mask: usize,
  u: usize,
  room: usize,
  rows: i32,
  width: i32,
  begin: i32,
  end: i32,
  unit: i32,
): void {
  const stride: usize = (<usize>width) << 3;
  for (let r = 0; r < rows; r++, values += stride, mask += width) {
    for (let from = begin; from < end; from += unit) {
      const to = min(from + unit, end);
      let last = room;
      for (let i = from; i < to; i++) {
        if (!load<u8>(mask + i)) continue;
        const uRow = u + <usize>i * stride;
        const at = (<usize>i) << 3;
        const error = load<f64>(values + at) / load<f64>(uRow + at);
        store<f64>(values + at, error);
        const stop = (<usize>to) << 3;
        for (let j = at + 8; j < stop; j += 8) {
          store<f64>(values + j, load<f64>(values + j) - error * load<f64>(uRow + j));
        }
        store<f64>(last, error);
        store<usize>(last, uRow, 8);
        last += 16;
      }
      const rest = (<usize>to) << 3;
      let p = room;
      for (; p + 64 <= last; p += 64) four(values, p, rest, stride);
      if (p + 32 <= last) {
        two(values, p, rest, stride);
        p += 32;
      }
      if (p < last) one(values, p, rest, stride);
    }
  }
}

function four(row: usize, p: usize, from: usize, end: usize): void {
  const e0 = load<f64>(p);
  const e1 = load<f64>(p, 16);
  const e2 = load<f64>(p, 32);
  const e3 = load<f64>(p, 48);
  const u0 = load<usize>(p, 8);
  const u1 = load<usize>(p, 24);
  const u2 = load<usize>(p, 40);
  const u3 = load<usize>(p, 56);
  const s0 = f64x2.splat(e0);
  const s1 = f64x2.splat(e1);
  const s2 = f64x2.splat(e2);
  const s3 = f64x2.splat(e3);
  let j = from;
  for (; j + 16 <= end; j += 16) {
    const left = f64x2.add(f64x2.mul(s0, v128.load(u0 + j)), f64x2.mul(s1, v128.load(u1 + j)));
    const right = f64x2.add(f64x2.mul(s2, v128.load(u2 + j)), f64x2.mul(s3, v128.load(u3 + j)));
    v128.store(row + j, f64x2.sub(v128.load(row + j), f64x2.add(left, right)));
  }
  for (; j < end; j += 8) {
    const left = e0 * load<f64>(u0 + j) + e1 * load<f64>(u1 + j);
    const right = e2 * load<f64>(u2 + j) + e3 * load<f64>(u3 + j);
    store<f64>(row + j, load<f64>(row + j) - (left + right));
  }
}

function two(row: usize, p: usize, from: usize, end: usize): void {
  const e0 = load<f64>(p);
  const e1 = load<f64>(p, 16);
  const u0 = load<usize>(p, 8);
  const u1 = load<usize>(p, 24);
  const s0 = f64x2.splat(e0);
  const s1 = f64x2.splat(e1);
  let j = from;
  for (; j + 16 <= end; j += 16) {
    const sum = f64x2.add(f64x2.mul(s0, v128.load(u0 + j)), f64x2.mul(s1, v128.load(u1 + j)));
    v128.store(row + j, f64x2.sub(v128.load(row + j), sum));
  }
  for (; j < end; j += 8) {
    store<f64>(row + j, load<f64>(row + j) - (e0 * load<f64>(u0 + j) + e1 * load<f64>(u1 + j)));
  }
}

function one(row: usize, p: usize, from: usize, end: usize): void {
  const e = load<f64>(p);
  const u = load<usize>(p, 8);
  const s = f64x2.splat(e);
  let j = from;
  for (; j + 16 <= end; j += 16) {
    v128.store(row + j, f64x2.sub(v128.load(row + j), f64x2.mul(s, v128.load(u + j))));
  }
  for (; j < end; j += 8) store<f64>(row + j, load<f64>(row + j) - e * load<f64>(u + j));
}
