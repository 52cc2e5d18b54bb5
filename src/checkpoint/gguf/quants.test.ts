import { expect, it } from "vitest";
import { readSafetensors } from "../../../test/support/safetensors.js";
import { dequantize } from "./dequantize.js";
import { quantize } from "./quantize.js";

// By the `gguf` package: see make.py there.
const tensors = readSafetensors("test/fixtures/gguf/quants.safetensors");
const bytesOf = (name: string) => Uint8Array.from(tensors.get(name)!.data);
const bitsOf = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length);

it.each(["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"] as const)(
  "reads blocks of %s bit for bit as the gguf package does",
  (type) => {
    const expected = Float32Array.from(tensors.get(`${type}.values`)!.data);
    const values = new Float32Array(expected.length);
    dequantize(bytesOf(`${type}.blocks`), type, values);
    expect(bitsOf(values)).toEqual(bitsOf(expected));
  },
);

it.each(["q8_0", "q4_0"] as const)("writes blocks of %s byte for byte as the gguf package does", (type) => {
  const values = Float32Array.from(tensors.get("input")!.data);
  expect(quantize(values, type)).toEqual(bytesOf(`${type.toUpperCase()}.quantized`));
});

it("keeps zeros, whatever their block is", () => {
  const values = Float32Array.from({ length: 64 }, (_, i) => (i % 2 === 0 ? 0 : i - 30));
  for (const type of ["q8_0", "q4_0"] as const) {
    const read = new Float32Array(64);
    dequantize(quantize(values, type), type === "q8_0" ? "Q8_0" : "Q4_0", read);
    expect(read.filter((_, i) => i % 2 === 0).every((value) => value === 0)).toBe(true);
  }
});
