import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { availableEngines } from "../../test/support/engines.js";
import { InputError } from "../errors.js";
import { createEngine } from "./registry.js";

const nameOf = async (...options: Parameters<typeof createEngine>) => {
  const engine = createEngine(...options);
  await engine.dispose();
  return [engine.name, engine.precision];
};

describe("an engine is found by its name and precision", () => {
  it("without one the first that runs here computes, in float32", async () => {
    const first = availableEngines.find(({ precision }) => precision === "float32")!;
    expect(await nameOf(undefined)).toEqual([first.engine, "float32"]);
    expect(await nameOf("reference")).toEqual(["reference", "float64"]);
  });

  it("where oneDNN is not, onnxruntime is found", () => {
    // In a process of its own: a library is opened once.
    const code = `
      const { createEngine } = await import(${JSON.stringify(new URL("../../dist/engine/registry.js", import.meta.url))});
      console.log(createEngine().name, createEngine(undefined, { precision: "float32" }).name);
    `;
    const env = { ...process.env, PARE_ONEDNN: "/nowhere/libdnnl.so.3" };
    const output = execFileSync(process.execPath, ["--input-type=module", "-e", code], { env, encoding: "utf8" });
    expect(output).toBe("onnxruntime onnxruntime\n");
  });

  it("a precision alone finds the first engine that has it", async () => {
    expect(await nameOf(undefined, { precision: "float32" })).toEqual(await nameOf(undefined));
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
      /^--precision float64 --device cuda: no engine has it; there are: onednn computes in float32 or bfloat16 on cpu; onnx/,
    );
  });

  it.skipIf(process.platform === "win32")("a device of another system is refused by name", () => {
    expect(() => createEngine("onnxruntime", { device: "dml" })).toThrow(
      /^--device dml: onnxruntime-node has none on \w+ \w+; there are: cpu\b/,
    );
  });
});
