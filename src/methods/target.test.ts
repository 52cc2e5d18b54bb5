import { describe, expect, it } from "vitest";
import { InputError } from "../errors.js";
import { checkTarget, countZeros, parseTarget, targetName } from "./target.js";

describe("parseTarget", () => {
  it.each([
    [{ sparsity: "0.5" }, { kind: "unstructured", sparsity: 0.5 }],
    [{ sparsity: 0 }, { kind: "unstructured", sparsity: 0 }],
    [{ sparsity: ".999" }, { kind: "unstructured", sparsity: 0.999 }],
    [{ pattern: "2:4" }, { kind: "n:m", n: 2, m: 4 }],
    [
      { pattern: "4:8", sparsity: "0.5" },
      { kind: "n:m", n: 4, m: 8 },
    ],
  ])("reads %o", (given, target) => {
    expect(parseTarget(given)).toEqual(target);
  });

  it.each([
    [{}, /--sparsity.*--pattern/],
    [{ sparsity: "1" }, /--sparsity 1: .* below 1/],
    [{ sparsity: "-0.1" }, /--sparsity -0\.1/],
    [{ sparsity: "50%" }, /--sparsity 50%/],
    [{ sparsity: "" }, /--sparsity/],
    [{ sparsity: Number.NaN }, /--sparsity NaN/],
    [{ pattern: "4:4" }, /0 < n < m/],
    [{ pattern: "5:4" }, /0 < n < m/],
    [{ pattern: "0:4" }, /0 < n < m/],
    [{ pattern: "-1:4" }, /n:m/],
    [{ pattern: "1.5:4" }, /n:m/],
    [{ pattern: "2-4" }, /n:m/],
    [{ pattern: "1:99999999999999999999" }, /0 < n < m/],
    [{ pattern: "2:4", sparsity: "0.6" }, /contradicts --pattern 2:4, which is 0.5/],
  ])("refuses %o in one line", (given, message) => {
    expect(() => parseTarget(given)).toThrow(InputError);
    expect(() => parseTarget(given)).toThrow(message);
    expect(() => parseTarget(given)).not.toThrow(/\n/);
  });
});

it("writes a target as it was typed", () => {
  expect(targetName(parseTarget({ sparsity: "0.5" }))).toBe("0.5");
  expect(targetName(parseTarget({ pattern: "2:4" }))).toBe("2:4");
});

describe("checkTarget", () => {
  it("names the place whose rows a pattern does not divide", () => {
    const target = parseTarget({ pattern: "2:4" });
    expect(() => checkTarget(target, 12, "layer 3 mlp.down_proj")).not.toThrow();
    expect(() => checkTarget(target, 10, "layer 3 mlp.down_proj")).toThrow(/2:4.*layer 3 mlp\.down_proj.*10.*--skip/);
  });

  it("refuses numbers that no command line would let through", () => {
    expect(() => checkTarget({ kind: "unstructured", sparsity: Number.NaN }, 4, "w")).toThrow(InputError);
    expect(() => checkTarget({ kind: "n:m", n: 1.5, m: 4 }, 4, "w")).toThrow(InputError);
  });
});

it("counts zeros of either sign", () => {
  expect(countZeros(Float32Array.of(0, 1, -0, -1e-45, Number.NaN))).toBe(2);
});
