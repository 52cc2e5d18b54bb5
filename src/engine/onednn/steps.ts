import { Tensor } from "../onnxruntime/ort.js";
import type { Whole } from "../onnxruntime/whole.js";
import { mapOthers } from "./after.js";
import type { Arena } from "./arena.js";
import { attend } from "./attention.js";
import type { Numbers } from "./numbers.js";
import type { Products } from "./products.js";
import type { Step } from "./stages.js";
import type { Values } from "./values.js";

/** The operations that are computed here. */
export const COMPUTED: readonly Whole["kind"][] = [
  "alias",
  "rmsNorm",
  "add",
  "multiply",
  "silu",
  "rope",
  "attention",
  "squares",
  "gram",
];

/** Computes one step from values and puts what it makes among them. */
export function computeStep(step: Step, values: Values, products: Products, arena: Arena): void {
  const { kernel } = arena;
  switch (step.kind) {
    case "alias":
      return;
    case "linear": {
      const weight = values.given(step.weight);
      const bias = step.bias === undefined ? undefined : (values.given(step.bias).data as Float32Array);
      const [rows] = values.shape(step.x);
      // Before the room is made: a view of the arena is gone when it grows.
      values.operand(step.x);
      const y = values.makeProduct(step.y, rows, weight.dims[0]!);
      const after = mapOthers(step.after, (name) => values.floats(name));
      products.linear(values.operand(step.x), weight.data as Numbers, bias, y, after);
      values.roundMade(step.y);
      return;
    }
    case "gram": {
      const tiles = step.tiles.map(({ row, column, before, y }) => {
        const sum = values.given(before);
        const result = values.fetched(y) ?? new Tensor("float32", new Float32Array(sum.size), sum.dims);
        const data = result.data as Float32Array;
        if (data !== sum.data) data.set(sum.data as Float32Array);
        values.keep(y, result);
        return { row, column, sum: data };
      });
      products.addGram(values.operand(step.x), tiles);
      return;
    }
    case "rmsNorm": {
      const [rows, columns] = values.shape(step.x);
      const weight = arena.allocate(4 * step.size);
      const x = values.address(step.x);
      const { floats, operand } = values.make(step.y, rows, columns);
      const numbers = arena.floats(weight, step.size);
      numbers.set(values.given(step.weight).data as Float32Array);
      if (step.offset !== 0) for (let i = 0; i < numbers.length; i++) numbers[i]! += step.offset;
      kernel.rmsNorm(x, weight, floats, operand, step.size, step.epsilon, (rows * columns) / step.size);
      arena.free(weight);
      return;
    }
    case "add":
    case "multiply": {
      const [rows, columns] = values.shape(step.a);
      const [a, b] = [values.address(step.a), values.address(step.b)];
      const { floats, operand } = values.make(step.y, rows, columns);
      kernel[step.kind](a, b, floats, operand, rows * columns);
      return;
    }
    case "rope": {
      const [rows, columns] = values.shape(step.x);
      const x = values.address(step.x);
      const { floats, operand } = values.make(step.y, rows, columns);
      const [cos, sin] = [step.cos, step.sin].map((name) => arena.table(values.given(name).data as Float32Array));
      kernel.rope(x, cos!, sin!, floats, operand, step.heads, step.headSize, step.pairs, rows);
      return;
    }
    case "attention":
      attend(step, values, products, arena);
      return;
    case "squares": {
      const [rows, columns] = values.shape(step.x);
      const { at, isHalf } = values.operandAddress(step.x);
      const sums = arena.allocate(8 * columns);
      const room = arena.allocate(4 * columns);
      kernel.squares(at, isHalf, sums, room, rows, columns);
      values.keep(step.y, new Tensor("float64", arena.doubles(sums, columns).slice(), [columns]));
      arena.free(room);
      arena.free(sums);
      return;
    }
  }
}
