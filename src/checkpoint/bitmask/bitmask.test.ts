import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { float32, makeFolder, safetensors, temporaryFolder } from "../../../test/malformed/safetensors.js";
import { InputError } from "../../errors.js";
import { openCheckpoint } from "../open.js";
import { createCheckpointWriter } from "../write.js";
import { pack, unpack } from "./codec.js";

/** Written by compressed-tensors itself: see make.py there. */
const fixtures = fileURLToPath(new URL("../../../test/fixtures/bitmask/", import.meta.url));
const names = ["a.weight", "b.weight", "c.weight", "d.weight"];

/** The dense tensors as a checkpoint. */
async function denseFolder(folder: string): Promise<string> {
  const file = await readFile(join(fixtures, "dense.safetensors"));
  return makeFolder({ "config.json": '{"model_type":"llama","hidden_size":7}', "model.safetensors": file }, folder);
}

/** Every tensor's own bytes in a safetensors file. */
async function bytesOf(path: string): Promise<Record<string, string>> {
  const file = await readFile(path);
  const length = Number(file.readBigUInt64LE());
  const { __metadata__, ...tensors } = JSON.parse(file.toString("utf8", 8, 8 + length));
  const entries = Object.entries(tensors as Record<string, { dtype: string; data_offsets: [number, number] }>);
  return Object.fromEntries(
    entries.map(
      ([
        name,
        {
          dtype,
          data_offsets: [begin, end],
        },
      ]) => {
        return [name, `${dtype} ${file.toString("hex", 8 + length + begin, 8 + length + end)}`];
      },
    ),
  );
}

describe("a folder that compressed-tensors wrote", () => {
  it("has the dense tensors", async () => {
    const dense = await openCheckpoint(await denseFolder(join(await temporaryFolder(), "dense")));
    const sparse = await openCheckpoint(join(fixtures, "sparse"));
    expect(sparse.config).toEqual(dense.config);
    for (const [name, { dtype, shape }] of dense.tensors) {
      expect(sparse.tensors.get(name)).toMatchObject({ dtype, shape });
    }
    expect(sparse.tensors.size).toBe(dense.tensors.size);
    for (const name of [...names, "norm.weight"]) {
      expect(await sparse.read(name)).toEqual(await dense.read(name));
      expect(await sparse.readBfloat16(name)).toEqual(await dense.readBfloat16(name));
    }
    const rows = Int32Array.of(4, 0, 4);
    expect(await sparse.readRows("a.weight", rows)).toEqual(await dense.readRows("a.weight", rows));
    expect(sparse.bytes).toBe((await readFile(join(fixtures, "sparse/model.safetensors"))).length);
    await dense.close();
    await sparse.close();
  });

  it("is copied as a dense checkpoint", async () => {
    const root = await temporaryFolder();
    const sparse = await openCheckpoint(join(fixtures, "sparse"));
    const out = join(root, "out");
    await (await createCheckpointWriter(sparse, out, { force: false })).finish({});
    await sparse.close();
    expect(await bytesOf(join(out, "model.safetensors"))).toEqual(await bytesOf(join(fixtures, "dense.safetensors")));
    expect(JSON.parse(await readFile(join(out, "config.json"), "utf8"))).toEqual({
      model_type: "llama",
      hidden_size: 7,
    });
  });

  it("is what pare writes, but for the weight that is smaller as it is", async () => {
    const root = await temporaryFolder();
    const dense = await openCheckpoint(await denseFolder(join(root, "dense")));
    const out = join(root, "out");
    await (await createCheckpointWriter(dense, out, { force: false, bitmask: new Set(names) })).finish({});
    const theirs = await bytesOf(join(fixtures, "sparse/model.safetensors"));
    const { "c.weight": full } = await bytesOf(join(fixtures, "dense.safetensors"));
    const others = Object.entries(theirs).filter(([name]) => !name.startsWith("c."));
    expect(await bytesOf(join(out, "model.safetensors"))).toEqual({ ...Object.fromEntries(others), "c.weight": full });

    const config = JSON.parse(await readFile(join(out, "config.json"), "utf8"));
    const { quantization_config: theirConfig } = JSON.parse(
      await readFile(join(fixtures, "sparse/config.json"), "utf8"),
    );
    const { global_sparsity: _, ...theirRest } = theirConfig.sparsity_config;
    const { global_sparsity: share, ...rest } = config.quantization_config.sparsity_config;
    expect(config).toMatchObject({ model_type: "llama", hidden_size: 7 });
    expect({ ...config.quantization_config, sparsity_config: rest }).toEqual({
      ...theirConfig,
      sparsity_config: {
        ...theirRest,
        ignore: [],
        targets: ["a", "b", "d"],
      },
    });
    // 34 of 55, 45 of 48, 54 of 54
    expect(share).toBeCloseTo((34 + 45 + 54) / (55 + 48 + 54), 12);
    const back = await openCheckpoint(out);
    for (const name of names) expect(await back.read(name)).toEqual(await dense.read(name));
    expect(back.tensors.get("a.weight")?.storedAs).toBe("BF16 bitmask");
    for (const checkpoint of [dense, back]) await checkpoint.close();
  });

  it("is written dense where no bitmask pays", async () => {
    const root = await temporaryFolder();
    const dense = await openCheckpoint(await denseFolder(join(root, "dense")));
    const out = join(root, "out");
    await (await createCheckpointWriter(dense, out, { force: false, bitmask: new Set(["c.weight"]) })).finish({});
    expect(await bytesOf(join(out, "model.safetensors"))).toEqual(await bytesOf(join(fixtures, "dense.safetensors")));
    expect(JSON.parse(await readFile(join(out, "config.json"), "utf8"))).toEqual(dense.config);
    await dense.close();
  });

  it("may be of several files, whose index then names the parts", async () => {
    const root = await temporaryFolder();
    const zeros = (rows: number, columns: number) => ({
      dtype: "BF16",
      shape: [rows, columns],
      bytes: new Uint8Array(2 * rows * columns),
    });
    const [one, two] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] as const;
    const folder = await makeFolder(
      {
        "config.json": "{}",
        "model.safetensors.index.json": JSON.stringify({ weight_map: { "x.weight": one, "y.weight": two } }),
        [one]: safetensors({ "x.weight": zeros(8, 64) }),
        [two]: safetensors({ "y.weight": zeros(8, 64) }),
      },
      join(root, "base"),
    );
    const base = await openCheckpoint(folder);
    const [sparse, dense] = [join(root, "sparse"), join(root, "dense")];
    const weights = new Set(["x.weight", "y.weight"]);
    await (await createCheckpointWriter(base, sparse, { force: false, bitmask: weights })).finish({});
    const back = await openCheckpoint(sparse);
    expect([...back.tensors.keys()]).toEqual([...weights]);
    await (await createCheckpointWriter(back, dense, { force: false })).finish({});
    for (const name of [one, two]) expect(await bytesOf(join(dense, name))).toEqual(await bytesOf(join(folder, name)));
    await (await openCheckpoint(dense)).close();
    for (const checkpoint of [base, back]) await checkpoint.close();
  });
});

describe("the layout", () => {
  it("is compressed-tensors'", async () => {
    const expected = await bytesOf(join(fixtures, "sparse/model.safetensors"));
    const dense = await openCheckpoint(await denseFolder(join(await temporaryFolder(), "dense")));
    for (const name of names) {
      const { dtype, shape, file, begin, end } = dense.tensors.get(name)!;
      const bytes = new Uint8Array(end - begin);
      await dense.readShard(file, bytes, begin);
      const { values, mask, offsets } = pack(bytes, shape[0]!, shape[1]!, dtype === "F32" ? 4 : 2);
      const hex = (part: Uint8Array) => Buffer.from(part).toString("hex");
      const module = name.slice(0, 1);
      expect(`${dtype} ${hex(values)}`).toBe(expected[`${module}.compressed`]);
      expect(`U8 ${hex(mask)}`).toBe(expected[`${module}.bitmask`]);
      expect(`I64 ${hex(new Uint8Array(offsets.buffer))}`).toBe(expected[`${module}.row_offsets`]);
    }
    await dense.close();
  });

  it("loses nothing, negative zeros and NaN included", () => {
    const matrix = fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 20 }), fc.constantFrom(2, 4));
    const filled = matrix.chain(([rows, columns, size]) => {
      const elements = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 ** (8 * size) - 1 }));
      return fc.tuple(
        fc.constant([rows, columns, size] as const),
        fc.array(elements, { minLength: rows * columns, maxLength: rows * columns }),
      );
    });
    fc.assert(
      fc.property(filled, ([[rows, columns, size], elements]) => {
        const typed = size === 2 ? Uint16Array.from(elements) : Uint32Array.from(elements);
        const dense = new Uint8Array(typed.buffer);
        expect(unpack(pack(dense, rows, columns, size), rows, columns, size)).toEqual(dense);
      }),
    );
  });
});

describe("a damaged bitmask is an error that names file and tensor", () => {
  const config = {
    model_type: "llama",
    quantization_config: { quant_method: "compressed-tensors", sparsity_config: { format: "sparse-bitmask" } },
  };
  const i64 = (...values: number[]) => ({
    dtype: "I64",
    shape: [values.length],
    bytes: new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer),
  });
  const u8 = (shape: number[], ...values: number[]) => ({ dtype: "U8", shape, bytes: Uint8Array.from(values) });
  const f32 = (...values: number[]) => ({ dtype: "F32", shape: [values.length], bytes: float32(...values) });
  // [[1, 0, 2], [0, 3, 0]]
  const right = {
    "w.shape": i64(2, 3),
    "w.row_offsets": i64(0, 2),
    "w.compressed": f32(1, 2, 3),
    "w.bitmask": u8([2, 1], 0b101, 0b010),
  };
  const readWith = async (changed: Record<string, unknown>, given: object = config): Promise<unknown> => {
    const tensors = Object.fromEntries(
      Object.entries({ ...right, ...changed }).filter(([, value]) => value),
    ) as typeof right;
    const folder = await makeFolder({
      "config.json": JSON.stringify(given),
      "model.safetensors": safetensors(tensors),
    });
    try {
      const checkpoint = await openCheckpoint(folder);
      try {
        return [...(await checkpoint.read("w.weight"))];
      } finally {
        await checkpoint.close();
      }
    } catch (error) {
      expect(error).toBeInstanceOf(InputError);
      expect((error as Error).message).not.toContain("\n");
      return (error as Error).message;
    }
  };

  it("and the right one is read", async () => expect(await readWith({})).toEqual([1, 0, 2, 0, 3, 0]));

  it.each([
    ["a bitmask that is too short", { "w.bitmask": u8([1, 1], 5) }, /bitmask is U8 of \[1,1\], .*needs U8 of \[2,1\]/],
    ["a bitmask of another type", { "w.bitmask": f32(1, 2) }, /bitmask is F32/],
    [
      "more bits than values",
      { "w.bitmask": u8([2, 1], 0b111, 0b010) },
      /row 1 begins at 2, and by the bitmask it is 3/,
    ],
    ["more bits than values in the last row", { "w.bitmask": u8([2, 1], 0b101, 0b011) }, /4 bits set for 3 values/],
    ["more values than bits", { "w.compressed": f32(1, 2, 3, 4) }, /3 bits set for 4 values/],
    ["bits beyond the last column", { "w.bitmask": u8([2, 1], 0b101, 0b1000) }, /bit beyond column 2 in row 1/],
    ["row offsets that go back", { "w.row_offsets": i64(2, 0) }, /row 0 begins at 2, and by the bitmask it is 0/],
    ["too few row offsets", { "w.row_offsets": i64(0) }, /row_offsets are I64 of \[1\], .*needs I64 of \[2\]/],
    ["another shape", { "w.shape": i64(3, 2) }, /its shape \[3,2\] needs U8 of \[3,1\]/],
    ["a negative shape", { "w.shape": i64(-2, 3) }, /its shape \[-2,3\] is not possible/],
    ["an impossible shape", { "w.shape": i64(2 ** 40, 2 ** 20) }, /is not possible/],
    ["a shape of three", { "w.shape": i64(1, 2, 3) }, /no pair of I64/],
    ["more values than places", { "w.compressed": f32(1, 2, 3, 4, 5, 6, 7) }, /has 7 values for a shape of \[2,3\]/],
    ["values of another type", { "w.compressed": i64(1, 2, 3) }, /values are I64/],
    ["a value that is not finite", { "w.compressed": f32(1, Number.NaN, 3) }, /is NaN at \[0, 2\]/],
    ["a part that is missing", { "w.row_offsets": undefined }, /its part "w.row_offsets" is missing/],
    ["the dense weight beside it", { "w.weight": f32(1) }, /both dense and as a bitmask/],
  ])("%s", async (_, changed, message) => {
    const error = await readWith(changed);
    expect(error).toMatch(message);
    expect(error).toMatch(/model\.safetensors: tensor "w\.weight"/);
  });

  it("weights that are quantized as well", async () => {
    const quantization_config = { ...config.quantization_config, config_groups: { group_0: {} } };
    expect(await readWith({}, { ...config, quantization_config })).toMatch(
      /config\.json: quantization_config\."config_groups"/,
    );
  });
});
