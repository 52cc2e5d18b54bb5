/**
 * A sparse matrix as compressed-tensors' sparse-bitmask format has it (vllm-project/compressed-tensors,
 * compressors/sparse_compressors/sparse_bitmask.py): the numbers that are not zero, row by row; one bit for each number, the
 * first in the lowest bit, rows in whole bytes; and where each row begins among the numbers.
 */
export interface Bitmask {
  /** Elements of the matrix's own type. */
  readonly values: Uint8Array;
  /** [rows, ⌈columns / 8⌉] */
  readonly mask: Uint8Array;
  /** [rows] */
  readonly offsets: BigInt64Array;
}

/** Elements as integers: what has a bit set is kept, also a negative zero, so that nothing is lost. */
type Elements = Uint16Array | Uint32Array;

/** Elements of 2 or 4 bytes. */
export function elementsOf(bytes: Uint8Array, size: number): Elements {
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  const length = aligned.length / size;
  return size === 2
    ? new Uint16Array(aligned.buffer, aligned.byteOffset, length)
    : new Uint32Array(aligned.buffer, aligned.byteOffset, length);
}

export function countKept(elements: Elements): number {
  let kept = 0;
  for (let i = 0; i < elements.length; i++) if (elements[i] !== 0) kept++;
  return kept;
}

/** Bytes of a matrix [rows, columns] in this format, its shape included. */
export function bitmaskBytes(rows: number, columns: number, kept: number, size: number): number {
  return kept * size + rows * Math.ceil(columns / 8) + 8 * rows + 16;
}

/** Packs a matrix [rows, columns] of elements of `size` bytes. */
export function pack(dense: Uint8Array, rows: number, columns: number, size: number): Bitmask {
  const from = elementsOf(dense, size);
  const values = size === 2 ? new Uint16Array(countKept(from)) : new Uint32Array(countKept(from));
  const maskColumns = Math.ceil(columns / 8);
  const mask = new Uint8Array(rows * maskColumns);
  const offsets = new BigInt64Array(rows);
  let kept = 0;
  for (let row = 0; row < rows; row++) {
    offsets[row] = BigInt(kept);
    for (let column = 0; column < columns; column++) {
      const element = from[row * columns + column]!;
      if (element === 0) continue;
      values[kept++] = element;
      mask[row * maskColumns + (column >> 3)]! |= 1 << (column & 7);
    }
  }
  return { values: new Uint8Array(values.buffer), mask, offsets };
}

/** The matrix's bytes, or in one clause what is wrong with the parts, whose lengths fit the shape. */
export function unpack(
  { values, mask, offsets }: Bitmask,
  rows: number,
  columns: number,
  size: number,
): Uint8Array | string {
  const from = elementsOf(values, size);
  const into = size === 2 ? new Uint16Array(rows * columns) : new Uint32Array(rows * columns);
  const maskColumns = Math.ceil(columns / 8);
  let kept = 0;
  for (let row = 0; row < rows; row++) {
    if (offsets[row] !== BigInt(kept)) {
      return `row_offsets says that row ${row} begins at ${offsets[row]}, and by the bitmask it is ${kept}`;
    }
    for (let byte = 0; byte < maskColumns; byte++) {
      for (let bits = mask[row * maskColumns + byte]!; bits !== 0; bits &= bits - 1) {
        const column = 8 * byte + 31 - Math.clz32(bits & -bits);
        if (column >= columns) return `the bitmask has a bit beyond column ${columns - 1} in row ${row}`;
        into[row * columns + column] = from[kept++]!;
      }
    }
  }
  if (kept !== from.length) return `the bitmask has ${kept} bits set for ${from.length} values`;
  return new Uint8Array(into.buffer);
}
