import { expect, it } from "vitest";
import { transposeInto } from "./transpose.js";

it("moves every element of a rectangle to its mirrored place and touches nothing else", () => {
  const rows = 45;
  const columns = 70;
  const source = Float64Array.from({ length: (rows + 1) * 80 }, (_, i) => i);
  const target = new Float64Array(columns * 50 + 3).fill(-1);
  transposeInto({ data: source, offset: 5, stride: 80 }, rows, columns, { data: target, offset: 3, stride: 50 });
  const expected = new Float64Array(columns * 50 + 3).fill(-1);
  for (let c = 0; c < columns; c++) for (let r = 0; r < rows; r++) expected[3 + c * 50 + r] = 5 + r * 80 + c;
  expect(target).toEqual(expected);
});
