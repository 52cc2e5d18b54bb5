import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open.js";
import { createCheckpointWriter } from "../../src/checkpoint/write.js";
import { compress } from "../../src/compress.js";
import { AbortError } from "../../src/errors.js";
import { evaluate } from "../../src/evaluate.js";
import { inspect } from "../../src/inspect.js";
import { openModel } from "../../src/model/model.js";
import { narrow } from "../../src/tensor/dtype.js";
import { loadTokenizer } from "../../src/tokenizer/tokenizer.js";
import { oracle } from "../oracles.js";
import { carriedModel } from "../support/carried.js";

const scratch = mkdtempSync(join(tmpdir(), "pare-gguf-"));
afterAll(() => rmSync(scratch, { recursive: true }));

/** Of the tiny models that are carried, as llama.cpp's converter writes them in float16 (see test/fixtures/gguf/README.md). */
const CONVERTED = ["llama3-rope", "gemma2", "gpt2", "mixtral", "phi3-longrope"];

describe.each(CONVERTED)("%s, converted by llama.cpp", (name) => {
  const file = `test/fixtures/gguf/models/${name}.gguf`;

  it("has the tensors of the folder that it was made of, in its names, shapes and order", async () => {
    const [gguf, folder] = await Promise.all([openCheckpoint(file), openCheckpoint(`test/fixtures/models/${name}`)]);
    try {
      const stored = [...folder.tensors.keys()].filter(
        (tensor) => !(tensor === "lm_head.weight" && folder.config["tie_word_embeddings"] === true),
      );
      expect([...gguf.tensors.keys()].sort()).toEqual(stored.sort());
      for (const tensor of stored) {
        expect(gguf.tensors.get(tensor)!.shape).toEqual(folder.tensors.get(tensor)!.shape);
        const [ours, theirs] = await Promise.all([gguf.read(tensor), folder.read(tensor)]);
        if (gguf.tensors.get(tensor)!.dtype === "F16") expect(narrow(ours, "F16")).toEqual(narrow(theirs, "F16"));
        else expect(Math.max(...ours.map((value, i) => Math.abs(value - theirs[i]!)))).toBeLessThan(2e-7); // 1 added, 1 subtracted
      }
    } finally {
      await Promise.all([gguf.close(), folder.close()]);
    }
  });

  it("reads rows as it reads the whole", async () => {
    const gguf = await openCheckpoint(file);
    try {
      const { embed, architecture } = openModel(gguf);
      const whole = await gguf.read(architecture.embedding);
      const ids = Int32Array.of(5, 0, 127, 5);
      const rows = [...ids].flatMap((id) => [...whole.subarray(id * 32, (id + 1) * 32)]);
      expect([...(await embed(ids))]).toEqual(rows);
    } finally {
      await gguf.close();
    }
  });
});

describe("a model that goes out as GGUF and comes in again", () => {
  const write = (output: string, more: object) =>
    compress({ model: carriedModel, output: join(scratch, output), method: "magnitude", sparsity: 0.3, ...more });
  const losses = async (model: string) => {
    const data = "assets/tinystories-excerpt.json";
    const result = await evaluate({ model: join(scratch, model), data, windows: 2, sequenceLength: 256 });
    return (result as unknown as { loss: { compressed: number } }).loss.compressed;
  };

  it("is the same model, to the last bit in float32 and to its rounding in others", async () => {
    await write("folder", {});
    const base = await openCheckpoint(join(scratch, "folder"));
    // Of a tensor's largest value: half a step, or a whole one at the end that 4 bits do not reach; and a scale's own rounding.
    const tolerance = { f32: 0, f16: 2 ** -11, bf16: 2 ** -8, q8_0: 1.1 / 254, q4_0: 1.01 / 8 } as const;
    for (const [type, share] of Object.entries(tolerance)) {
      await write(`${type}.gguf`, { format: "gguf", ggufType: type });
      const gguf = await openCheckpoint(join(scratch, `${type}.gguf`));
      for (const name of base.tensors.keys()) {
        const [values, expected] = await Promise.all([gguf.read(name), base.read(name)]);
        const worst = Math.max(...expected.map((value, i) => Math.abs(values[i]! - value)));
        expect(worst, `${type} ${name}`).toBeLessThanOrEqual(share * Math.max(...expected.map(Math.abs)));
        expect(values.filter((value, i) => expected[i] === 0 && value !== 0)).toHaveLength(0);
      }
      await gguf.close();
      expect(existsSync(join(scratch, `${type}.gguf.folder`))).toBe(false);
    }
    await base.close();
    expect(await losses("f32.gguf")).toBe(await losses("folder"));
    expect(await losses("f16.gguf")).toBeCloseTo(await losses("folder"), 3);
  });

  it("keeps its tokenizer and its record", async () => {
    const [ours, theirs] = await Promise.all([loadTokenizer(join(scratch, "f16.gguf")), loadTokenizer(carriedModel)]);
    const text = readFileSync("assets/tinystories-excerpt.json", "utf8").slice(0, 50_000);
    expect(ours!.encode(text, { specialTokens: true })).toEqual(theirs!.encode(text, { specialTokens: true }));
    expect([ours!.bosId, ours!.eosId]).toEqual([theirs!.bosId, theirs!.eosId]);
    const { record, dtypes, shards } = await inspect(join(scratch, "q8_0.gguf"));
    expect(record?.["method"]).toBe("magnitude");
    expect(Object.keys(dtypes).sort()).toEqual(["F16", "F32", "Q8_0"]); // rows of 172 are no whole blocks
    expect(shards).toEqual(["q8_0.gguf"]);
  });

  it("can be compressed, into a folder that holds what was read", async () => {
    const model = join(scratch, "q8_0.gguf");
    await compress({ model, output: join(scratch, "again"), method: "magnitude", sparsity: 0.5, only: ["mlp.*"] });
    const [base, folder] = await Promise.all([openCheckpoint(model), openCheckpoint(join(scratch, "again"))]);
    for (const [name, { dtype }] of folder.tensors) {
      expect(dtype).toBe(name.endsWith("norm.weight") ? "F32" : "F16");
      if (name.includes("mlp.") && !name.includes("norm")) continue;
      expect(narrow(await folder.read(name), "F16")).toEqual(narrow(await base.read(name), "F16"));
    }
    expect(folder.config).toMatchObject({ model_type: "llama", torch_dtype: "float16", head_dim: 8 });
    expect(await loadTokenizer(join(scratch, "again"))).toBeDefined();
    await Promise.all([base.close(), folder.close()]);
  });

  it("keeps the compressed weights where the file cannot be written, and goes on from there", async () => {
    const base = await openCheckpoint(carriedModel);
    const model = join(scratch, "large");
    const writer = await createCheckpointWriter(base, model, { force: false });
    const name = "model.layers.4.mlp.gate_proj.weight";
    await writer.write(name, (await base.read(name)).fill(70_000, 0, 1));
    await writer.finish({});
    await base.close();
    const folder = join(scratch, "large.gguf.folder");
    await expect(write("large.gguf", { model, format: "gguf" })).rejects.toThrow(
      /the value 70000, too large for f16; .* kept in .*large\.gguf\.folder, and the same command goes on from there$/,
    );
    const made = statSync(join(folder, "pare.json")).mtimeMs;
    const stopped = new AbortController();
    const stop = { signal: stopped.signal, onProgress: () => stopped.abort() };
    await expect(write("large.gguf", { model, format: "gguf", ggufType: "bf16", ...stop })).rejects.toThrow(AbortError);
    expect(statSync(join(folder, "pare.json")).mtimeMs).toBe(made);
    const notes: unknown[] = [];
    const onProgress = (event: unknown) => void notes.push(event);
    const options = { model, format: "gguf", ggufType: "bf16", onProgress };
    expect(await write("large.gguf", options)).toMatchObject({ seconds: { gguf: expect.any(Number) } });
    expect(notes).toContainEqual({ kind: "note", message: `continuing with ${folder}` });
    expect(existsSync(folder)).toBe(false);
    // Another model is made anew.
    await expect(write("other.gguf", { model, format: "gguf" })).rejects.toThrow(/too large/);
    notes.length = 0;
    await write("other.gguf", { ...options, sparsity: 0.4 });
    expect(notes).not.toContainEqual(expect.objectContaining({ kind: "note" }));
    const { record } = await inspect(join(scratch, "other.gguf"));
    expect(record).toMatchObject({ sparsity: 0.4 });
  });

  it("refuses, before any work, what it cannot write", async () => {
    await expect(write("folder.bin", { format: "gguf" })).rejects.toThrow(/has to end in \.gguf/);
    await expect(write("f16.gguf", { format: "gguf" })).rejects.toThrow(/is there; choose another output/);
    await expect(write("x.gguf", { format: "gguf", ggufType: "q5_k" })).rejects.toThrow(/"q5_k" is not known/);
    const model = "test/fixtures/models/gemma2"; // scores divided otherwise than llama.cpp does for such a model
    await expect(write("gemma.gguf", { model, format: "gguf" })).rejects.toThrow(/GGUF has no key for/);
    const itself = { model: join(scratch, "f16.gguf"), format: "gguf", force: true };
    await expect(write("f16.gguf", itself)).rejects.toThrow(/is the base itself/);
  });
});

describe("a folder whose weights are GGUF", () => {
  it("is opened as its one file, and asks for a name where there are two", async () => {
    const folder = mkdtempSync(join(scratch, "one-"));
    const bytes = readFileSync("test/fixtures/gguf/models/gpt2.gguf");
    writeFileSync(join(folder, "a.gguf"), bytes);
    const checkpoint = await openCheckpoint(folder);
    expect(checkpoint.path).toBe(join(folder, "a.gguf"));
    await checkpoint.close();
    writeFileSync(join(folder, "b.gguf"), bytes);
    await expect(openCheckpoint(folder)).rejects.toThrow(/holds 2 GGUF files and no safetensors files; name the one/);
  });
});

const smollm2 = oracle("models", "SmolLM2-135M-Instruct", "SmolLM2-135M-Instruct.Q4_1.gguf");
const folder = process.env["PARE_SMOLLM2"];

describe.skipIf(!smollm2 || !folder)(
  "SmolLM2-135M-Instruct in Q4_1 (needs it in PARE_ORACLES, and converted to bfloat16 by the gguf package in PARE_SMOLLM2)",
  () => {
    it("has bit for bit the tensors that the gguf package reads", { timeout: 300_000 }, async () => {
      const [gguf, converted] = await Promise.all([openCheckpoint(smollm2!), openCheckpoint(folder!)]);
      expect([...gguf.tensors.keys()].sort()).toEqual([...converted.tensors.keys()].sort());
      for (const name of converted.tensors.keys()) {
        const [ours, theirs] = [await gguf.read(name), await converted.read(name)];
        expect(Buffer.compare(narrow(ours, "BF16"), narrow(theirs, "BF16")), name).toBe(0);
      }
      await Promise.all([gguf.close(), converted.close()]);
    });

    it("has its tokenizer.json's tokens on WikiText-2's test split", { timeout: 300_000 }, async () => {
      const [ours, theirs] = await Promise.all([loadTokenizer(smollm2!), loadTokenizer(folder!)]);
      const text = readFileSync(oracle("datasets", "wikitext2-raw", "wiki.test.raw")!, "utf8");
      const ids = ours!.encode(text, { specialTokens: true });
      expect(ids).toEqual(theirs!.encode(text, { specialTokens: true }));
      expect(ids.length).toBeGreaterThan(250_000);
    });
  },
);
