/**
 * Order statistics of magnitudes without sorting. A float32's bits, sign cleared, order as its magnitude does, so a
 * radix select over 9 + 8 + 7 + 7 of the 31 bits finds any rank, whatever the order of the values; each digit is looked up
 * only in those that have the ones before. Digits are short because rows are: a histogram has to be cleared and read too.
 */

/** Clears the sign bit of a float32. */
export const MAGNITUDE = 0x7fffffff;
/** Where each digit of the magnitude's bits begins, the highest first, and how many bits it has. */
const DIGITS = [
  { shift: 22, width: 9 },
  { shift: 14, width: 8 },
  { shift: 7, width: 7 },
  { shift: 0, width: 7 },
] as const;
/** The same memory as `values`, seen as bits. */
export function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

/**
 * The magnitude at index `rank` (0-based) of `values` sorted by magnitude, ascending, in O(n) for any input.
 * The values are not changed; they must not hold NaN. Throws RangeError when the rank lies outside the array.
 */
export function selectMagnitude(values: Float32Array, rank: number): number {
  if (!Number.isInteger(rank) || rank < 0 || rank >= values.length) {
    throw new RangeError(`rank ${rank} lies outside an array of ${values.length}`);
  }
  const { key } = selectBits(bitsOf(values), rank);
  return new Float32Array(Uint32Array.of(key).buffer)[0]!;
}

/**
 * Sets mask to 1 at the `count` smallest magnitudes of the float32 numbers given as `bitsOf` them and to 0 elsewhere;
 * among equals the smaller index goes first, so the choice is a stable sort's. They must not hold NaN.
 */
export function markLowest(bits: Uint32Array, count: number, mask: Uint8Array): void {
  if (count <= 0 || count >= bits.length) {
    mask.fill(count <= 0 ? 0 : 1);
    return;
  }
  const { key, smaller } = selectBits(bits, count - 1);
  let equals = count - smaller;
  for (let i = 0; i < bits.length; i++) {
    const magnitude = bits[i]! & MAGNITUDE;
    mask[i] = (magnitude - key) >>> 31; // the sign bit stands for "less than": half go, and no branch predicts which
    if (magnitude === key && equals-- > 0) mask[i] = 1;
  }
}

const histogram = new Uint32Array(1 << DIGITS[0].width);

/** The magnitude's bits at `rank`, and how many are smaller. */
function selectBits(bits: Uint32Array, rank: number): { key: number; smaller: number } {
  let key = 0;
  let smaller = 0;
  let left = bits; // those that have the digits of the key found so far
  for (const { shift, width } of DIGITS) {
    const digits = (1 << width) - 1;
    histogram.fill(0, 0, 1 << width);
    for (let i = 0; i < left.length; i++) histogram[((left[i]! & MAGNITUDE) >> shift) & digits]!++;
    let digit = 0;
    while (smaller + histogram[digit]! <= rank) smaller += histogram[digit++]!;
    key |= digit << shift;
    if (shift > 0) left = withDigit(left, shift, digits, digit, histogram[digit]!);
  }
  return { key, smaller };
}

/** The magnitudes of which a digit is this, so many, without a branch for each. */
function withDigit(bits: Uint32Array, shift: number, digits: number, digit: number, count: number): Uint32Array {
  const found = new Uint32Array(count + 1); // one more: what follows the last is written too
  let n = 0;
  for (let i = 0; i < bits.length; i++) {
    const magnitude = bits[i]! & MAGNITUDE;
    found[n] = magnitude;
    n += ((((magnitude >> shift) & digits) ^ digit) - 1) >>> 31;
  }
  return found.subarray(0, count);
}
