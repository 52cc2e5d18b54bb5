import { createHash } from "node:crypto";
import { mkdir, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { float32, makeFolder, safetensors } from "../../test/malformed/safetensors.js";
import { oracle } from "../../test/oracles.js";
import { AbortError, InputError } from "../errors.js";
import { fromBfloat16 } from "../tensor/dtype.js";
import { openCheckpoint } from "./open.js";

// Written by the safetensors 0.8 library for Python: f32, f16 and bf16 of one [2, 3] matrix, a float64 buffer, an empty tensor.
const LIBRARY_FILE = Buffer.from(
  "UAEAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJmb3JtYXQiOiJwdCJ9LCJpbnZfZnJlcSI6eyJkdHlwZSI6IkY2NCIsInNoYXBlIjpbMl0sImRhdGFf" +
    "b2Zmc2V0cyI6WzAsMTZdfSwiZW1wdHkiOnsiZHR5cGUiOiJGMzIiLCJzaGFwZSI6WzAsNF0sImRhdGFfb2Zmc2V0cyI6WzE2LDE2XX0sImYzMiI6" +
    "eyJkdHlwZSI6IkYzMiIsInNoYXBlIjpbMiwzXSwiZGF0YV9vZmZzZXRzIjpbMTYsNDBdfSwiYmYxNiI6eyJkdHlwZSI6IkJGMTYiLCJzaGFwZSI6" +
    "WzIsM10sImRhdGFfb2Zmc2V0cyI6WzQwLDUyXX0sImYxNiI6eyJkdHlwZSI6IkYxNiIsInNoYXBlIjpbMiwzXSwiZGF0YV9vZmZzZXRzIjpbNTIs" +
    "NjRdfX0gICAAAAAAAADwP5qZmZmZmbk/AACAPwAAIMCrqqo+AOB/R1nZgDMAAACAgD8gwKs+gEeBMwCAADwAwVU1/3sBAACA",
  "base64",
);
const F32 = [1, -2.5, 0.3333333432674408, 65504, 5.99999978589949e-8, -0];
const F16 = [1, -2.5, 0.333251953125, 65504, 2 ** -24, -0];
const BF16 = [1, -2.5, 0.333984375, 65536, 6.007030606269836e-8, -0];

describe("a file of the safetensors library", () => {
  const open = async () => openCheckpoint(await makeFolder({ "config.json": "{}", "model.safetensors": LIBRARY_FILE }));

  it("is read to the values that PyTorch put in", async () => {
    const checkpoint = await open();
    expect([...(await checkpoint.read("f32"))]).toEqual(F32);
    expect([...(await checkpoint.read("f16"))]).toEqual(F16);
    expect([...(await checkpoint.read("bf16"))]).toEqual(BF16);
    expect(await checkpoint.read("empty")).toHaveLength(0);
    expect(checkpoint.tensors.get("bf16")).toMatchObject({ dtype: "BF16", shape: [2, 3], file: "model.safetensors" });
    await checkpoint.close();
  });

  it("gives the bits of bfloat16, and of nothing else", async () => {
    const checkpoint = await open();
    const bits = await checkpoint.readBfloat16("bf16");
    expect([...fromBfloat16(bits!)]).toEqual(BF16);
    expect(await checkpoint.readBfloat16("f16")).toBeUndefined();
    expect(await checkpoint.readBfloat16("f32")).toBeUndefined();
    await checkpoint.close();
  });

  it("reads into memory of the right size as a new array", async () => {
    const checkpoint = await open();
    const first = await checkpoint.read("f32");
    const second = await checkpoint.read("bf16", first);
    expect(second.buffer).toBe(first.buffer);
    expect(second).not.toBe(first);
    expect([...second]).toEqual(BF16);
    const bits = await checkpoint.readBfloat16("bf16");
    expect((await checkpoint.readBfloat16("bf16", bits))!.buffer).toBe(bits!.buffer);
    const other = await checkpoint.read("f16", bits);
    expect(other.buffer).not.toBe(bits!.buffer);
    expect([...other]).toEqual(F16);
    await checkpoint.close();
  });

  it("gives rows in any order", async () => {
    const checkpoint = await open();
    const rows = await checkpoint.readRows("bf16", Int32Array.of(1, 0, 1));
    expect([...rows]).toEqual([...BF16.slice(3), ...BF16.slice(0, 3), ...BF16.slice(3)]);
    expect(await checkpoint.readRows("f32", new Int32Array(0))).toHaveLength(0);
    await checkpoint.close();
  });

  it("names what cannot be read", async () => {
    const checkpoint = await open();
    await expect(checkpoint.readRows("f32", Int32Array.of(0, 2))).rejects.toThrow(
      /model\.safetensors: row 2 of tensor "f32"/,
    );
    await expect(checkpoint.readRows("f32", Int32Array.of(-1))).rejects.toThrow(InputError);
    await expect(checkpoint.read("weight")).rejects.toThrow(/no tensor "weight"/);
    await expect(checkpoint.read("inv_freq")).rejects.toThrow(/tensor "inv_freq" is stored as F64/);
    await checkpoint.close();
  });
});

describe("readRows", () => {
  it("gives the rows of read(), however far apart they lie", async () => {
    const [rows, columns] = [5000, 16];
    const values = Float32Array.from({ length: rows * columns }, (_, i) => i);
    const bytes = new Uint8Array(values.buffer);
    const checkpoint = await openCheckpoint(
      await makeFolder({
        "config.json": "{}",
        "model.safetensors": safetensors({
          before: { dtype: "U8", shape: [3], bytes: new Uint8Array(3) },
          w: { dtype: "F32", shape: [rows, columns], bytes },
        }),
      }),
    );
    const wanted = Int32Array.from({ length: 700 }, (_, i) => (i * i * 31) % rows);
    const expected = [...wanted].flatMap((row) => [...values.subarray(row * columns, (row + 1) * columns)]);
    // Concurrent reads must not disturb each other.
    const [some, all, again] = await Promise.all([
      checkpoint.readRows("w", wanted),
      checkpoint.read("w"),
      checkpoint.readRows("w", wanted.toReversed()),
    ]);
    expect([...some]).toEqual(expected);
    expect(all).toEqual(values);
    expect([...again.subarray(0, columns)]).toEqual(expected.slice(-columns));
    await checkpoint.close();
  });
});

describe("a tensor larger than one read", () => {
  it("is put together from its parts, and a NaN in a later part is found at its place", async () => {
    const columns = 1000;
    const values = Float32Array.from({ length: 5000 * columns }, (_, i) => i); // 20 MB, exact in float32
    const make = async () =>
      openCheckpoint(
        await makeFolder({
          "config.json": "{}",
          "model.safetensors": safetensors({
            w: { dtype: "F32", shape: [5000, columns], bytes: new Uint8Array(values.buffer) },
          }),
        }),
      );
    const whole = await make();
    expect(Buffer.from((await whole.read("w")).buffer).equals(Buffer.from(values.buffer))).toBe(true);
    await whole.close();
    values[4999 * columns + 7] = Number.NaN;
    const damaged = await make();
    await expect(damaged.read("w")).rejects.toThrow(/model\.safetensors: tensor "w" is NaN at \[4999, 7\]/);
    await expect(damaged.readRows("w", Int32Array.of(4999))).rejects.toThrow(/tensor "w" is NaN at \[4999, 7\]/);
    expect(await damaged.readRows("w", Int32Array.of(4998))).toHaveLength(columns);
    await damaged.close();
  });
});

it("says where the bits of bfloat16 are no number", async () => {
  const values = Uint16Array.from({ length: 3 * 2 ** 20 + 5 }, (_, i) => i % 0x7f80);
  const at = 3 * 2 ** 20 + 2;
  for (const [bits, name] of [[0x7fc1, "NaN"] as const, [0xff80, "-Infinity"] as const]) {
    values[at] = bits;
    const folder = await makeFolder({
      "config.json": "{}",
      "model.safetensors": safetensors({
        w: { dtype: "BF16", shape: [1, values.length], bytes: new Uint8Array(values.buffer) },
      }),
    });
    const checkpoint = await openCheckpoint(folder);
    const message = `model.safetensors: tensor "w" is ${name} at [0, ${at}]`;
    await expect(checkpoint.readBfloat16("w")).rejects.toThrow(message);
    await expect(checkpoint.read("w")).rejects.toThrow(message);
    await checkpoint.close();
  }
});

const SHARDED = {
  "config.json": '{"model_type":"llama"}',
  "model-00001-of-00002.safetensors": safetensors({ a: { dtype: "F32", shape: [2], bytes: float32(1, 2) } }),
  "model-00002-of-00002.safetensors": safetensors({ b: { dtype: "F32", shape: [1], bytes: float32(3) } }),
  "model.safetensors.index.json": JSON.stringify({
    metadata: { total_size: 12 },
    weight_map: { b: "model-00002-of-00002.safetensors", a: "model-00001-of-00002.safetensors" },
  }),
};

describe("shards", () => {
  it("are opened by their index and read from the right file", async () => {
    const checkpoint = await openCheckpoint(await makeFolder(SHARDED));
    expect(checkpoint.shards).toEqual(["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]);
    expect(checkpoint.config).toEqual({ model_type: "llama" });
    expect([...(await checkpoint.read("a"))]).toEqual([1, 2]);
    expect([...(await checkpoint.read("b"))]).toEqual([3]);
    await checkpoint.close();
  });

  it("are hashed as `cat config.json model-*.safetensors | sha256sum` does, and stop on abort", async () => {
    const checkpoint = await openCheckpoint(await makeFolder(SHARDED));
    const hash = createHash("sha256");
    for (const name of Object.keys(SHARDED).slice(0, 3)) hash.update(SHARDED[name as keyof typeof SHARDED]);
    expect(await checkpoint.hash()).toBe(hash.digest("hex"));
    await expect(checkpoint.hash(AbortSignal.abort())).rejects.toThrow(AbortError);
    await checkpoint.close();
  });

  it("are opened from a snapshot of the hub's cache, whose files are links to blobs", async () => {
    const cache = await makeFolder({});
    const repository = join(cache, "models--org--name");
    const snapshot = join(repository, "snapshots", "0123abcd");
    await mkdir(snapshot, { recursive: true });
    for (const [i, [name, content]] of Object.entries(SHARDED).entries()) {
      await makeFolder({ [`blobs/${i}`]: content }, repository);
      await symlink(`../../blobs/${i}`, join(snapshot, name));
    }
    const checkpoint = await openCheckpoint(snapshot);
    expect([...(await checkpoint.read("a"))]).toEqual([1, 2]);
    await checkpoint.close();
  });
});

const models = oracle("models");
const reason = models === undefined ? " (skipped: PARE_ORACLES names no folder with models)" : "";
describe.skipIf(models === undefined)(`published and tiny models${reason}`, () => {
  it("all open, and every float tensor is finite", async () => {
    const root = models ?? "";
    const folders = [
      "TinyStories-656K",
      "stories260K",
      ...(await readdir(join(root, "tiny-random"))).map((n) => `tiny-random/${n}`),
    ];
    let opened = 0;
    for (const folder of folders.filter((name) => !name.endsWith(".md"))) {
      const checkpoint = await openCheckpoint(join(root, folder));
      for (const { name, dtype, begin, end } of checkpoint.tensors.values()) {
        if (dtype === "F32") expect(await checkpoint.read(name)).toHaveLength((end - begin) / 4);
      }
      expect(checkpoint.tensors.size).toBeGreaterThan(5);
      await checkpoint.close();
      opened++;
    }
    expect(opened).toBeGreaterThan(20);
  });

  it("a folder whose only weights are a GGUF file is opened as that file", async () => {
    const checkpoint = await openCheckpoint(join(models ?? "", "SmolLM2-135M-Instruct"));
    expect(checkpoint.path).toMatch(/\.gguf$/);
    await checkpoint.close();
  });
});
