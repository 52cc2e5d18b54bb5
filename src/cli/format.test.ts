import { describe, expect, test } from "vitest";
import { bytes, duration, figure, plural, plusMinus } from "./format.js";

test.each([
  [0, "0 bytes"],
  [1023, "1023 bytes"],
  [1024, "1.00 KiB"],
  [1536 * 1024, "1.50 MiB"],
  [80 * 2 ** 30, "80.0 GiB"],
  [5000 * 2 ** 40, "5000.0 TiB"],
])("%d bytes are written %s", (value, text) => expect(bytes(value)).toBe(text));

test.each([
  [0.04, "0.0 s"],
  [9.96, "10 s"],
  [59.6, "1 min 0 s"],
  [185, "3 min 5 s"],
  [3599.7, "1 h 0 min"],
  [7800, "2 h 10 min"],
])("%d seconds are written %s", (value, text) => expect(duration(value)).toBe(text));

test("a noun is plural unless there is one", () => {
  expect([0, 1, 1234].map((value) => plural(value, "window"))).toEqual(["0 windows", "1 window", "1,234 windows"]);
});

describe("figures", () => {
  test.each([
    [null, "-"],
    [0, "0"],
    [23.2412, "23.24"],
    [0.16612, "0.1661"],
    [1.2e-7, "1.200e-7"],
    [1234.56, "1234.6"],
    [3.2e9, "3.200e+9"],
  ])("%d is written %s", (value, text) => expect(figure(value)).toBe(text));

  test.each([
    [23.2412, 0.513, "23.24 ± 0.51"],
    [54.2, 12.4, "54 ± 12"],
    [0.16612, 0.00213, "0.1661 ± 0.0021"],
    [1.234e-6, 5.6e-8, "1.23e-6 ± 5.6e-8"],
    [-32.5, 0.87, "-32.50 ± 0.87"],
    [4.5, null, "4.500"],
    [1, 0, "1.000"],
    [null, null, "-"],
    [99.52755906, 1e-15, "99.53"],
  ])("%d with the standard error %d is written %s", (value, error, text) => expect(plusMinus(value, error)).toBe(text));
});
