/**
 * Order statistics of magnitudes without sorting. A float32's bits, sign cleared, order as its magnitude does, so a
 * radix select over 11 + 10 + 10 of the 31 bits finds any rank in three passes, whatever the order of the values.
 */

/** Clears the sign bit of a float32. */
export const MAGNITUDE = 0x7fffffff;
/** Where each digit of the magnitude's bits begins, the highest first, and how many bits it has. */
const DIGITS = [
  { shift: 20, width: 11 },
  { shift: 10, width: 10 },
  { shift: 0, width: 10 },
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
    mask[i] = magnitude < key || (magnitude === key && equals-- > 0) ? 1 : 0;
  }
}

const histogram = new Uint32Array(1 << DIGITS[0].width);

/** The magnitude's bits at `rank`, and how many are smaller. */
function selectBits(bits: Uint32Array, rank: number): { key: number; smaller: number } {
  let key = 0;
  let smaller = 0;
  for (const { shift, width } of DIGITS) {
    const digits = (1 << width) - 1;
    const above = shift + width;
    const prefix = key >> above;
    histogram.fill(0, 0, 1 << width);
    // Shifting by 31, before the first digit, leaves 0 of a magnitude: every value has that prefix.
    for (let i = 0; i < bits.length; i++) {
      const magnitude = bits[i]! & MAGNITUDE;
      if (magnitude >> above === prefix) histogram[(magnitude >> shift) & digits]!++;
    }
    let digit = 0;
    while (smaller + histogram[digit]! <= rank) smaller += histogram[digit++]!;
    key |= digit << shift;
  }
  return { key, smaller };
}
