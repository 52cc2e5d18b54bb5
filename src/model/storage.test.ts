import { describe, expect, it } from "vitest";
import { createWeightWriter, fused, type Storage, type StoredTensor, storedShape, takePart } from "./storage.js";

const IN = 3;
const numbers = (length: number) => Float32Array.from({ length }, (_, i) => i + 1);
const at = (storage: Storage, name: string): StoredTensor => {
  const { name: tensor, ...stored } = storage[name]!;
  return { tensor, ...stored };
};

describe("parts of a fused tensor", () => {
  it("lie one after the other", () => {
    const storage = fused("qkv", { q: 4, k: 2, v: 2 });
    const tensor = numbers(8 * IN);
    expect(storedShape(at(storage, "qkv.k"), [2, IN])).toEqual([8, IN]);
    expect(takePart(at(storage, "qkv.q"), tensor, [4, IN])).toEqual(tensor.subarray(0, 12));
    expect(takePart(at(storage, "qkv.k"), tensor, [2, IN])).toEqual(tensor.subarray(12, 18));
    expect(takePart(at(storage, "qkv.v"), tensor, [2, IN])).toEqual(tensor.subarray(18));
    expect(takePart(at(storage, "qkv.v"), numbers(8), [2])).toEqual(Float32Array.of(7, 8)); // a bias
  });

  it("alternate by heads", () => {
    const storage = fused("qkv", { q: 2, k: 1, v: 1 }, { groups: 2 });
    const bias = numbers(8);
    expect(takePart(at(storage, "qkv.q"), bias, [4])).toEqual(Float32Array.of(1, 2, 5, 6));
    expect(takePart(at(storage, "qkv.k"), bias, [2])).toEqual(Float32Array.of(3, 7));
    expect(takePart(at(storage, "qkv.v"), numbers(16), [2, 2])).toEqual(Float32Array.of(7, 8, 15, 16));
  });

  it("are columns where the tensor is [in, out]", () => {
    const storage = fused("qkv", { q: 1, k: 2 }, { transposed: true });
    const tensor = Float32Array.of(1, 2, 3, 4, 5, 6); // [2, 3]
    expect(storedShape(at(storage, "qkv.k"), [2, 2])).toEqual([2, 3]);
    expect(takePart(at(storage, "qkv.q"), tensor, [1, 2])).toEqual(Float32Array.of(1, 4));
    expect(takePart(at(storage, "qkv.k"), tensor, [2, 2])).toEqual(Float32Array.of(2, 5, 3, 6));
  });
});

describe("writing back", () => {
  it.each([
    ["in pieces", fused("qkv", { q: 4, k: 2, v: 2 })],
    ["by heads", fused("qkv", { q: 2, k: 1, v: 1 }, { groups: 2 })],
    ["transposed", fused("qkv", { q: 4, k: 2, v: 2 }, { transposed: true })],
    ["transposed, by heads", fused("qkv", { q: 2, k: 1, v: 1 }, { groups: 2, transposed: true })],
  ])("what was taken gives the same tensor: %s", async (_, storage) => {
    const tensor = numbers(8 * IN);
    const weights = ["q", "k", "v"].map((part) => ({
      stored: at(storage, `qkv.${part}`),
      out: part === "q" ? 4 : 2,
      in: IN,
    }));
    const written: Float32Array[] = [];
    const write = async (name: string, values: Float32Array) => {
      expect(name).toBe("qkv");
      written.push(values);
    };
    const writer = createWeightWriter(weights, async () => new Float32Array(tensor.length), write);
    for (const weight of weights) {
      expect(written).toHaveLength(0); // the last of them writes
      await writer.write(weight, takePart(weight.stored, tensor, [weight.out, IN]));
    }
    expect(written).toEqual([tensor]);
  });

  it("leaves alone the parts that are not compressed", async () => {
    const storage = fused("qkv", { q: 2, k: 1 });
    const written: Float32Array[] = [];
    const k = { stored: at(storage, "qkv.k"), out: 1, in: 2 };
    const write = async (_: string, values: Float32Array) => void written.push(values);
    await createWeightWriter([k], async () => numbers(6), write).write(k, Float32Array.of(0, 9));
    expect(written).toEqual([Float32Array.of(1, 2, 3, 4, 0, 9)]);
  });
});
