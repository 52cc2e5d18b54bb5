import { expect, test } from "vitest";
import { table } from "./table.js";

test("a table's columns are as wide as their widest cell", () => {
  const rows = [
    ["a", "1", "x"],
    ["long", "1000", ""],
  ];
  expect(table(rows)).toBe("a        1  x\nlong  1000");
  expect(table(rows, [0, 1, 2])).toBe("a     1     x\nlong  1000");
});
