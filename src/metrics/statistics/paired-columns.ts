/** Two columns over the same items as float64. Throws RangeError when lengths differ or a value is not finite. */
export function pairedColumns(a: ArrayLike<number>, b: ArrayLike<number>): readonly [Float64Array, Float64Array] {
  if (a.length !== b.length) throw new RangeError(`${a.length} values against ${b.length}: they are not paired`);
  return [finite(a), finite(b)];
}

function finite(values: ArrayLike<number>): Float64Array {
  const column = Float64Array.from(values);
  const index = column.findIndex((value) => !Number.isFinite(value));
  if (index >= 0) throw new RangeError(`value ${index} is ${column[index]}, not finite`);
  return column;
}
