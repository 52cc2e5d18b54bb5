import { expect, it } from "vitest";
import { InputError } from "../errors.js";
import { findMethod, methods, parseMethodOptions } from "./registry.js";

it("finds every method by its name", () => {
  for (const method of methods) expect(findMethod(method.name)).toBe(method);
});

it("names the likely one and all when there is no such method", () => {
  expect(() => findMethod("sparsgpt")).toThrow(InputError);
  expect(() => findMethod("sparsgpt")).toThrow(/--method sparsgpt.*did you mean sparsegpt\?.*magnitude, wanda/);
  expect(() => findMethod("toString")).toThrow(InputError);
});

it("fills in the published defaults of SparseGPT", () => {
  expect(parseMethodOptions(findMethod("sparsegpt"), {})).toEqual({ damping: 0.01, blockSize: 128 });
});

it.each([
  ["sparsegpt", { damping: 0 }, /sparsegpt, option damping/],
  ["sparsegpt", { damping: Number.NaN }, /sparsegpt, option damping/],
  ["sparsegpt", { blockSize: 1.5 }, /sparsegpt, option blockSize/],
  ["wanda", { damping: 0.1 }, /wanda has no option damping/],
])("refuses options of %s: %o", (name, options, message) => {
  expect(() => parseMethodOptions(findMethod(name), options)).toThrow(InputError);
  expect(() => parseMethodOptions(findMethod(name), options)).toThrow(message);
});
