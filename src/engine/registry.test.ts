import { describe, expect, it } from "vitest";
import { InputError } from "../errors.js";
import { createEngine, engines } from "./registry.js";

const nameOf = async (...options: Parameters<typeof createEngine>) => {
  const engine = createEngine(...options);
  await engine.dispose();
  return [engine.name, engine.precision];
};

describe("an engine is found by its name and precision", () => {
  it("the first is the default, in its first precision", async () => {
    expect(await nameOf(undefined)).toEqual([engines[0]!.name, engines[0]!.precisions[0]]);
    expect(await nameOf("reference")).toEqual(["reference", "float64"]);
  });

  it("a precision alone finds the first engine that has it", async () => {
    expect(await nameOf(undefined, { precision: "float32" })).toEqual(["onnxruntime", "float32"]);
    expect(await nameOf(undefined, { precision: "float64" })).toEqual(["reference", "float64"]);
  });

  it.each(["onnxruntime", "reference"])("%s has no bfloat16, and says which engine has", (name) => {
    const create = () => createEngine(name, { precision: "bfloat16" });
    expect(create).toThrow(InputError);
    expect(create).toThrow(
      /^--precision bfloat16: the engine \w+ computes in float\d\d on [\w, ]+; use --engine onednn$/,
    );
  });

  it("auto is the same as none", async () => {
    expect(await nameOf("auto")).toEqual(await nameOf(undefined));
    expect(await nameOf("auto", { precision: "float64" })).toEqual(["reference", "float64"]);
  });

  it("a device alone finds the engine that has it, and another says which that is", () => {
    expect(() => createEngine("reference", { device: "webgpu" })).toThrow(
      /^--device webgpu: the engine reference computes in float64 on cpu; use --engine onnxruntime$/,
    );
    expect(() => createEngine("auto", { device: "cuda", precision: "float64" })).toThrow(
      /^--precision float64 --device cuda: no engine has it; there are: onnxruntime computes in float32 on cpu, webgpu/,
    );
  });

  it.skipIf(process.platform === "win32")("a device of another system is refused by name", () => {
    expect(() => createEngine("onnxruntime", { device: "dml" })).toThrow(
      /^--device dml: onnxruntime-node has none on \w+ \w+; there are: cpu\b/,
    );
  });
});
