import { expect, it } from "vitest";
import { intervalText, measured, plain, short } from "./format.js";

it.each([
  [0, "0"],
  [0.0123456, "0.0123"],
  [-0.5, "−0.500"],
  [1234.5, "1235"],
  [0.00001234, "1.2e−5"],
] as const)("%d is written %s", (value, text) => {
  expect(short(value)).toBe(text);
});

it("writes each measure in its own unit", () => {
  expect(measured("share", -0.0123)).toBe("−1.2%");
  expect(measured("score", 0.25)).toBe("+0.250");
  expect(measured("ratio", 1.0789)).toBe("1.079");
  expect(intervalText("nats", [0.01, 0.02])).toBe("0.0100 to 0.0200");
  expect(intervalText("nats", null)).toBe("");
});

it("leaves no character that acts on what stands around it", () => {
  expect(plain("a\nb\u202ec\u0000")).toBe("a bU+202EcU+0000");
});
