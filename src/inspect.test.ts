import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type InspectResult, inspect, strictestPattern } from "./inspect.js";

const matrix = (...rows: number[][]) => Float32Array.from(rows.flat());

describe("the pattern of zeros", () => {
  test.each([
    ["1:2", [0, 1, 0, 1, 1, 0, 0, 1]],
    ["2:4", [0, 0, 1, 1, 1, 0, 1, 0]],
    ["4:8", [0, 0, 0, 1, 1, 1, 0, 1]],
    ["1:4", [0, 1, 1, 1, 1, 1, 1, 0]],
    ["3:4", [0, 0, 0, 1, 1, 0, 0, 0]],
    ["1:8", [1, 1, 1, 1, 1, 1, -0, 1]],
    [undefined, [1, 2, 3, 4, 5, 6, 7, 8]],
  ])("%s", (pattern, row) => {
    const zeros = row.filter((value) => value === 0).length;
    expect(strictestPattern(matrix(row, row), 8, zeros / 8)).toBe(pattern);
  });

  test("one group that breaks it is enough", () => {
    const rows = matrix([0, 0, 1, 1, 0, 0, 1, 1], [0, 0, 1, 1, 0, 1, 1, 1]);
    expect(strictestPattern(rows, 8, 7 / 16)).toBe("3:8"); // and not 2:4
  });

  test("groups do not reach over the end of a row", () => {
    // Read on as one row this would be 1:2.
    expect(strictestPattern(matrix([0, 1, 1], [0, 1, 0]), 3, 0.5)).toBeUndefined();
  });

  test("a pattern that explains few of the zeros is chance", () => {
    expect(strictestPattern(matrix([0, 0, 0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 1, 1, 1]), 8, 9 / 16)).toBeUndefined();
  });
});

const HIDDEN = 8;
const config = {
  model_type: "llama",
  hidden_size: HIDDEN,
  intermediate_size: HIDDEN,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  vocab_size: 4,
  tie_word_embeddings: true,
};
const linears = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"].concat([
  "mlp.gate_proj",
  "mlp.up_proj",
  "mlp.down_proj",
]);

/** A safetensors file of float32 ones, but for q_proj, which is 2:4 with a zero more. */
function safetensors(): Buffer {
  const shapes: Record<string, number[]> = {
    "model.embed_tokens.weight": [4, HIDDEN],
    "model.norm.weight": [HIDDEN],
    "model.layers.0.input_layernorm.weight": [HIDDEN],
    "model.layers.0.post_attention_layernorm.weight": [HIDDEN],
  };
  for (const name of linears) shapes[`model.layers.0.${name}.weight`] = [HIDDEN, HIDDEN];
  const header: Record<string, unknown> = {};
  const data: Float32Array[] = [];
  let offset = 0;
  for (const [name, shape] of Object.entries(shapes)) {
    const values = new Float32Array(shape.reduce((a, b) => a * b)).fill(1);
    if (name.includes("q_proj")) for (let i = 0; i < values.length; i++) values[i] = i % 4 < 2 || i === 2 ? 0 : 1;
    header[name] = { dtype: "F32", shape, data_offsets: [offset, offset + values.byteLength] };
    data.push(values);
    offset += values.byteLength;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, ...data.map((values) => Buffer.from(values.buffer))]);
}

describe("a small model", () => {
  let folder: string;
  let result: InspectResult;
  const file = safetensors();
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "pare-inspect-"));
    await writeFile(join(folder, "config.json"), JSON.stringify(config));
    await writeFile(join(folder, "model.safetensors"), file);
    result = await inspect(folder);
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("sizes", () => {
    const numbers = 4 * HIDDEN + 3 * HIDDEN + 7 * HIDDEN * HIDDEN;
    expect(result).toMatchObject({
      path: folder,
      family: "llama",
      unsupported: null,
      layers: 1,
      parameters: numbers,
      dtypes: { F32: numbers },
      shards: ["model.safetensors"],
      bytes: file.length,
      total: { size: 7 * HIDDEN * HIDDEN, zeros: 33 },
      record: null,
    });
    expect(result.sites.map((site) => site.kind)).toEqual(linears);
  });

  test("zeros and their pattern", () => {
    expect(result.sites[0]).toMatchObject({
      name: "model.layers.0.self_attn.q_proj",
      out: HIDDEN,
      in: HIDDEN,
      dtype: "F32",
      size: 64,
      zeros: 33,
      pattern: "2:4",
      bytes: 256,
    });
    for (const site of result.sites.slice(1)) expect(site).toMatchObject({ zeros: 0, pattern: null });
  });

  test("bytes as compressed-tensors would store them", () => {
    // values, bitmask uint8 [8, 1], row_offsets int64 [8], shape int64 [2]
    const overhead = 8 + 8 * 8 + 2 * 8;
    expect(result.sites.map((site) => site.bitmaskBytes)).toEqual([
      31 * 4 + overhead,
      ...Array(6).fill(256 + overhead),
    ]);
    // The other weights are smaller as they are.
    expect(result.bitmaskBytes).toBe(file.length - 33 * 4 + overhead);
  });

  test("a family that is not supported is still described", async () => {
    await writeFile(join(folder, "config.json"), JSON.stringify({ ...config, model_type: "lama" }));
    const other = await inspect(folder);
    expect(other).toMatchObject({ family: null, layers: null, bitmaskBytes: null, bytes: file.length });
    expect(other.sites).toEqual([]);
    expect(other.unsupported).toMatch(/model_type "lama" is not supported \(did you mean llama\?\)/);
  });
});
