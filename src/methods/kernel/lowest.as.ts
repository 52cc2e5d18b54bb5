// AssemblyScript, compiled to WebAssembly by `npm run build`: plainLowest of ../lowest.ts, which is the specification, four
// numbers at a time. The caller (../lowest.ts) lays out the memory from `heap` on; addresses are in bytes.

/** What the caller may write to begins here. */
export const heap: usize = __heap_base;

/** The largest digit has 9 bits. */
const BINS = 512;

/**
 * values f32 [rows, columns], scale f32 [columns]; room for two rows of columns + 4 numbers and a histogram of BINS. Each row's
 * memory begins at a multiple of 4 bytes only.
 */
export function zeroLowest(values: usize, scale: usize, room: usize, rows: i32, columns: i32, count: i32): void {
  const rowBytes: usize = (<usize>columns) << 2;
  const keys = room;
  const left = keys + rowBytes + 16;
  const histogram = left + rowBytes + 16;
  for (let r = 0; r < rows; r++, values += rowBytes) {
    score(values, scale, keys, rowBytes);
    // The key at rank count - 1, digit by digit.
    let key: u32 = 0;
    let smaller = 0;
    let from = keys;
    let bytes = rowBytes;
    let shift = 22;
    let width = 9;
    for (;;) {
      const digits: u32 = (1 << width) - 1;
      memory.fill(histogram, 0, BINS << 2);
      for (let i: usize = 0; i < bytes; i += 4) {
        const bin = histogram + ((<usize>((load<u32>(from + i) >> shift) & digits)) << 2);
        store<u32>(bin, load<u32>(bin) + 1);
      }
      let digit: u32 = 0;
      for (;;) {
        const here = load<u32>(histogram + ((<usize>digit) << 2));
        if (smaller + <i32>here > count - 1) break;
        smaller += here;
        digit++;
      }
      key |= digit << shift;
      if (shift === 0) break;
      let end = left;
      for (let i: usize = 0; i < bytes; i += 4) {
        const magnitude = load<u32>(from + i);
        store<u32>(end, magnitude);
        end += (<usize>(((magnitude >> shift) & digits) === digit)) << 2;
      }
      bytes = end - left;
      from = left;
      width = shift === 22 ? 8 : 7;
      shift -= width;
    }
    zero(values, keys, rowBytes, key, count - smaller);
  }
}

/** |value| · scale, as bits. */
function score(values: usize, scale: usize, keys: usize, bytes: usize): void {
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) {
    v128.store(keys + i, f32x4.mul(f32x4.abs(v128.load(values + i)), v128.load(scale + i)));
  }
  for (; i < bytes; i += 4) store<f32>(keys + i, abs(load<f32>(values + i)) * load<f32>(scale + i));
}

/** Zeroes the values whose keys are smaller, and so many, from the left, of those whose keys are equal. */
function zero(values: usize, keys: usize, bytes: usize, key: u32, equals: i32): void {
  const limit = i32x4.splat(key);
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) {
    const less = i32x4.lt_s(v128.load(keys + i), limit);
    v128.store(values + i, v128.andnot(v128.load(values + i), less));
  }
  for (; i < bytes; i += 4) if (load<u32>(keys + i) < key) store<u32>(values + i, 0);
  for (i = 0; equals > 0; i += 4) {
    if (load<u32>(keys + i) !== key) continue;
    store<u32>(values + i, 0);
    equals--;
  }
}
