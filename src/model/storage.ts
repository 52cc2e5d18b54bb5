/**
 * How a checkpoint stores parameters: some projections lie fused in one tensor, some transposed. Everything else sees
 * weights [out, in], one a projection; this is the one place that knows better.
 */

/** Which of a tensor's rows make up a parameter: of each of `groups` groups, `length` rows from `begin` on. */
interface Part {
  readonly groups: number;
  /** Rows of a group. */
  readonly group: number;
  readonly begin: number;
  readonly length: number;
}

/** Where a linear's weight and bias lie: the tensors `<name>.weight` and `<name>.bias`, or a part of them. */
interface Stored {
  readonly name: string;
  readonly part?: Part | undefined;
  /** The weight is stored as [in, out] (GPT-2's Conv1D). */
  readonly transposed?: boolean | undefined;
}

/** By a linear's name inside its block; what is not named lies in tensors of its own name. */
export type Storage = Readonly<Record<string, Stored>>;

/** The tensor that holds a parameter, and how. */
export interface StoredTensor extends Omit<Stored, "name"> {
  readonly tensor: string;
}

interface FusedOptions {
  /** The parts' rows alternate so many times: by heads. */
  readonly groups?: number;
  readonly transposed?: boolean;
}

/**
 * Linears `<name>.<part>` that lie one after the other in the tensor `<name>`, with so many rows each; with groups, so
 * many in each group.
 */
export function fused(
  name: string,
  rows: Readonly<Record<string, number>>,
  { groups = 1, transposed }: FusedOptions = {},
): Storage {
  const group = Object.values(rows).reduce((sum, count) => sum + count, 0);
  let begin = 0;
  const storage: Record<string, Stored> = {};
  for (const [part, length] of Object.entries(rows)) {
    storage[`${name}.${part}`] = { name, part: { groups, group, begin, length }, transposed };
    begin += length;
  }
  return storage;
}

/** The shape that a tensor has to have for a parameter of this shape to lie in it: [out, in] or [out]. */
export function storedShape({ part, transposed }: StoredTensor, [out = 0, ...rest]: readonly number[]): number[] {
  const shape = [part ? part.groups * part.group : out, ...rest];
  return transposed ? shape.reverse() : shape;
}

/** A parameter of this shape out of its tensor's values. */
export function takePart(stored: StoredTensor, tensor: Float32Array, shape: readonly number[]): Float32Array {
  if (!stored.part && !stored.transposed) return tensor;
  const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
  eachRow(stored, tensor.length, shape, ({ columns, to, from, step }) => {
    if (step === 1) values.set(tensor.subarray(from, from + columns), to);
    else for (let column = 0; column < columns; column++) values[to + column] = tensor[from + column * step]!;
  });
  return values;
}

/** Puts a parameter back where `takePart` finds it. */
function putPart(stored: StoredTensor, tensor: Float32Array, shape: readonly number[], values: Float32Array): void {
  eachRow(stored, tensor.length, shape, ({ columns, to, from, step }) => {
    for (let column = 0; column < columns; column++) tensor[from + column * step] = values[to + column]!;
  });
}

/** A parameter's row: `columns` values from `to` on, in the tensor from `from` on, `step` apart. */
interface StoredRow {
  readonly columns: number;
  readonly to: number;
  readonly from: number;
  readonly step: number;
}

function eachRow(
  { part, transposed }: StoredTensor,
  size: number,
  [out = 0, columns = 1]: readonly number[],
  visit: (row: StoredRow) => void,
): void {
  const { group, begin, length } = part ?? { group: out, begin: 0, length: out };
  const [rowStep, step] = transposed ? [1, size / columns] : [columns, 1];
  for (let row = 0; row < out; row++) {
    const inTensor = Math.floor(row / length) * group + begin + (row % length);
    visit({ columns, to: row * columns, from: inTensor * rowStep, step });
  }
}

/** A weight [out, in] and where it lies. */
interface StoredWeight {
  readonly stored: StoredTensor;
  readonly out: number;
  readonly in: number;
}

/** Writes compressed weights back into the tensors that hold them. */
export interface WeightWriter {
  write(weight: StoredWeight, values: Float32Array): Promise<void>;
}

/**
 * A writer for weights of a checkpoint. A tensor that holds several of them is written when the last of `weights` in it
 * is there; what else it holds stays as it is, to the last bit.
 */
export function createWeightWriter(
  weights: readonly StoredWeight[],
  read: (tensor: string) => Promise<Float32Array>,
  write: (tensor: string, values: Float32Array) => Promise<void>,
): WeightWriter {
  const missing = new Map<string, number>();
  for (const { stored } of weights) missing.set(stored.tensor, (missing.get(stored.tensor) ?? 0) + 1);
  const unfinished = new Map<string, Float32Array>();
  return {
    async write({ stored, out, in: columns }, values) {
      const { tensor, part, transposed } = stored;
      if (!part && !transposed) return write(tensor, values);
      const whole = unfinished.get(tensor) ?? (await read(tensor));
      putPart(stored, whole, [out, columns], values);
      const left = missing.get(tensor)! - 1;
      missing.set(tensor, left);
      if (left > 0) {
        unfinished.set(tensor, whole);
      } else {
        unfinished.delete(tensor);
        await write(tensor, whole);
      }
    },
  };
}
