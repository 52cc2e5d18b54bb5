import { spawn } from "node:child_process";
import { once } from "node:events";
import { lstat, mkdir, readdir, readFile, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { float32, makeFolder, safetensors, temporaryFolder } from "../../test/malformed/safetensors.js";
import { AbortError, InputError, RunError } from "../errors.js";
import type { Checkpoint } from "./checkpoint.js";
import { openCheckpoint } from "./open.js";
import { createCheckpointWriter } from "./write.js";

const f32 = (...values: number[]) => ({ dtype: "F32", shape: [values.length], bytes: float32(...values) });
const bf16 = (...patterns: number[]) => ({
  dtype: "BF16",
  shape: [patterns.length],
  bytes: new Uint8Array(Uint16Array.from(patterns).buffer),
});
const buffer = { dtype: "I64", shape: [1], bytes: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) };

const SHARDS = {
  "model-00001-of-00002.safetensors": safetensors({ a: f32(1, 2), ids: buffer, b: bf16(0x3f80, 0x4000), c: f32(3) }),
  "model-00002-of-00002.safetensors": safetensors({ d: f32(4, 5, 6), empty: f32() }),
};
const COPIED = {
  "config.json": '{ "model_type": "llama" }\n',
  "generation_config.json": "{}",
  "tokenizer.json": '{"version":"1.0"}',
  "tokenizer_config.json": "{}",
  "special_tokens_map.json": "{}",
  "added_tokens.json": "{}",
  "preprocessor_config.json": "{}",
  "vocab.json": "{}",
  "merges.txt": "a b",
  "tokenizer.model": "\x0a",
  "chat_template.jinja": "{{ messages }}",
  "modeling_llama.py": "pass",
  "LICENSE.txt": "Apache-2.0",
  NOTICE: "notice",
  "model.safetensors.index.json": JSON.stringify({
    metadata: { total_size: 44 },
    weight_map: {
      ...Object.fromEntries(["a", "ids", "b", "c"].map((name) => [name, "model-00001-of-00002.safetensors"])),
      ...Object.fromEntries(["d", "empty"].map((name) => [name, "model-00002-of-00002.safetensors"])),
    },
  }),
};
const LEFT = {
  "README.md": "the base's card",
  "pare.json": "{}",
  "pytorch_model.bin": "pickle",
  "training_args.bin": "pickle",
  "model.gguf": "GGUF",
  "consolidated.safetensors": "other weights",
  "eval_results.json": "{}",
  ".hidden": "x",
  "onnx/model.onnx": "x",
  "tokenizer/files": "x",
};

/** A base in a new folder, and the path of an output beside it. */
async function setUp(): Promise<{ root: string; base: Checkpoint; out: string }> {
  const root = await temporaryFolder();
  const folder = await makeFolder({ ...SHARDS, ...COPIED, ...LEFT }, join(root, "base"));
  return { root, base: await openCheckpoint(folder), out: join(root, "out") };
}

const bytesOf = (path: string): Promise<Buffer> => readFile(path);

describe("a written checkpoint", () => {
  it("has the base's bytes but for the tensors that were written", async () => {
    const { root, base, out } = await setUp();
    const writer = await createCheckpointWriter(base, out, { force: false });
    await writer.write("b", Float32Array.of(0, 1.00390625)); // the tie between 0x3f80 and 0x3f81
    await writer.write("d", Float32Array.of(4, 0, 6));
    expect(await readdir(root)).toEqual(["base", "out.partial", "out.partial.lock"]);
    expect(await readdir(`${out}.partial`)).toEqual(Object.keys(SHARDS).map((name) => `${name}.partial`));
    await expect(openCheckpoint(`${out}.partial`)).rejects.toThrow(InputError);
    await writer.finish({ "pare.json": '{"method":"wanda"}', "README.md": "the new card" });

    expect(await readdir(root)).toEqual(["base", "out"]);
    expect(await readdir(out)).toEqual(
      [...Object.keys(SHARDS), ...Object.keys(COPIED), "README.md", "pare.json"].sort(),
    );
    for (const [name, text] of Object.entries(COPIED)) expect(await readFile(join(out, name), "utf8")).toBe(text);
    expect(await readFile(join(out, "README.md"), "utf8")).toBe("the new card");
    expect(await readFile(join(out, "pare.json"), "utf8")).toBe('{"method":"wanda"}');
    expect(await bytesOf(join(out, "model-00001-of-00002.safetensors"))).toEqual(
      Buffer.from(safetensors({ a: f32(1, 2), ids: buffer, b: bf16(0, 0x3f80), c: f32(3) })),
    );
    expect(await bytesOf(join(out, "model-00002-of-00002.safetensors"))).toEqual(
      Buffer.from(safetensors({ d: f32(4, 0, 6), empty: f32() })),
    );
    await (await openCheckpoint(out)).close();
    await writer.abandon(); // safe, and changes nothing
    expect(await readdir(root)).toEqual(["base", "out"]);
    await base.close();
  });

  it("with nothing written is the base", async () => {
    const { base, out } = await setUp();
    const writer = await createCheckpointWriter(base, out, { force: false });
    await writer.finish({});
    for (const name of Object.keys(SHARDS)) {
      expect(await bytesOf(join(out, name))).toEqual(await bytesOf(join(base.directory, name)));
    }
    const copy = await openCheckpoint(out);
    expect(await copy.hash()).toBe(await base.hash());
    await copy.close();
    await base.close();
  });

  it("is whole for tensors larger than one write, also written at the same time", async () => {
    const count = 5_000_000;
    const weights = { dtype: "F32", shape: [count], bytes: new Uint8Array(count * 4) };
    const root = await temporaryFolder();
    const file = safetensors({ x: weights, y: weights, z: weights });
    const base = await openCheckpoint(
      await makeFolder({ "config.json": "{}", "model.safetensors": file }, join(root, "base")),
    );
    const out = join(root, "out");
    const writer = await createCheckpointWriter(base, out, { force: false });
    const x = Float32Array.from({ length: count }, (_, i) => i);
    const z = x.toReversed();
    await Promise.all([writer.write("x", x), writer.write("z", z)]);
    await writer.finish({});
    const written = { ...weights, bytes: new Uint8Array(x.buffer) };
    const expected = safetensors({ x: written, y: weights, z: { ...weights, bytes: new Uint8Array(z.buffer) } });
    expect((await bytesOf(join(out, "model.safetensors"))).equals(expected)).toBe(true);
    await base.close();
  });

  it("replaces the values of files that it is given, config.json too", async () => {
    const { base, out } = await setUp();
    const writer = await createCheckpointWriter(base, out, { force: false });
    await writer.finish({ "config.json": '{"model_type":"other"}' });
    expect(await readFile(join(out, "config.json"), "utf8")).toBe('{"model_type":"other"}');
    await base.close();
  });
});

describe("write", () => {
  it("refuses what does not fit, naming the tensor", async () => {
    const { root, base, out } = await setUp();
    const writer = await createCheckpointWriter(base, out, { force: false });
    const refused = async (name: string, ...values: number[]): Promise<string> => {
      const error = await writer.write(name, Float32Array.from(values)).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(RunError);
      return (error as Error).message;
    };
    expect(await refused("a", 1)).toMatch(/tensor "a" got 1 values instead of 2/);
    expect(await refused("a", 1, Number.NaN)).toMatch(/tensor "a" got the value NaN at index 1/);
    expect(await refused("a", Number.NEGATIVE_INFINITY, 1)).toMatch(/"a" got the value -Infinity at index 0/);
    expect(await refused("b", 1, 3.4e38)).toMatch(
      /tensor "b" got the value 3.* at index 1, which is not finite as BF16/,
    );
    expect(await refused("ids", 1)).toMatch(/tensor "ids" is I64/);
    expect(await refused("nothing", 1)).toMatch(/no tensor "nothing"/);
    await writer.abandon();
    expect(await readdir(root)).toEqual(["base"]);
    await expect(writer.write("a", Float32Array.of(1, 2))).rejects.toThrow(/after its end/);
    await base.close();
  });
});

describe("finish", () => {
  it("stops on abort, and abandon leaves nothing", async () => {
    const { root, base, out } = await setUp();
    const writer = await createCheckpointWriter(base, out, { force: false });
    await expect(writer.finish({}, AbortSignal.abort())).rejects.toThrow(AbortError);
    await writer.abandon();
    expect(await readdir(root)).toEqual(["base"]);
    await base.close();
  });

  it("is stopped by abandon, whose end leaves all or nothing", async () => {
    const { root, base, out } = await setUp();
    const writer = await createCheckpointWriter(base, out, { force: false });
    const finished = writer.finish({}).then(
      () => "whole",
      (error: unknown) => error,
    );
    await Promise.all([writer.abandon(), writer.abandon()]);
    expect(await finished).toBeInstanceOf(AbortError);
    expect(await readdir(root)).toEqual(["base"]);
    await base.close();
  });

  it("refuses a name that leads elsewhere", async () => {
    const { base, out, root } = await setUp();
    const writer = await createCheckpointWriter(base, out, { force: false });
    await expect(writer.finish({ "../x": "" })).rejects.toThrow(/plain names/);
    await writer.abandon();
    expect(await readdir(root)).toEqual(["base"]);
    await base.close();
  });

  it("does not replace an output that was filled meanwhile", async () => {
    const { base, out } = await setUp();
    const writer = await createCheckpointWriter(base, out, { force: false });
    await makeFolder({ "mine.txt": "precious" }, out);
    await expect(writer.finish({})).rejects.toThrow(/filled by someone else/);
    await writer.abandon();
    expect(await readdir(out)).toEqual(["mine.txt"]);
    await base.close();
  });

  it("keeps the whole folder, and says where, when it cannot be put in place", async () => {
    const { root, base, out } = await setUp();
    const writer = await createCheckpointWriter(base, out, { force: false, run: async () => "run" });
    await writer.write("a", Float32Array.of(1, 2));
    await writer.commit("a");
    await makeFolder({ "mine.txt": "precious" }, out);
    await expect(writer.finish({})).rejects.toThrow(/what was to stand there is .*out\.partial$/);
    await writer.abandon({ keep: true });
    expect(await readdir(root)).toEqual(["base", "out", "out.partial"]);
    const kept = await openCheckpoint(`${out}.partial`);
    expect(await kept.read("a")).toEqual(Float32Array.of(1, 2));
    const names = await readdir(kept.directory);
    expect(names.filter((name) => /^pare\.|\.partial$/.test(name))).toEqual([]);
    await kept.close();
    await base.close();
  });
});

describe("an output that is there", () => {
  it("and not empty is refused without force and replaced with it", async () => {
    const { root, base, out } = await setUp();
    await makeFolder({ "old.txt": "old", "pare.json": "{}" }, out);
    const refused = createCheckpointWriter(base, out, { force: false });
    await expect(refused).rejects.toThrow(InputError);
    await expect(refused).rejects.toThrow(/out: is not empty.*--force/);
    expect(await readdir(root)).toEqual(["base", "out"]);

    const writer = await createCheckpointWriter(base, out, { force: true });
    expect(await readdir(out)).toEqual(["old.txt", "pare.json"]); // until the very end
    await writer.finish({});
    expect(await readdir(root)).toEqual(["base", "out"]);
    expect(await readdir(out)).not.toContain("old.txt");
    await base.close();
  });

  it("and no checkpoint is never replaced, nor the folder that one is in, nor what is around it", async () => {
    const { root, base, out } = await setUp();
    await makeFolder({ "thesis.tex": "years", "config.json": "{}" }, out);
    await expect(createCheckpointWriter(base, out, { force: true })).rejects.toThrow(/holds other things/);
    const here = await makeFolder({ "pare.json": "{}", "in/thesis.tex": "years" }, join(root, "here"));
    for (const inside of [here, join(here, "in")]) {
      const before = process.cwd();
      process.chdir(inside);
      try {
        await expect(createCheckpointWriter(base, here, { force: true })).rejects.toThrow(/the folder that you are in/);
      } finally {
        process.chdir(before);
      }
    }
    expect(await readdir(out)).toEqual(["config.json", "thesis.tex"]);
    expect(await readdir(here)).toEqual(["in", "pare.json"]);
    expect(await readdir(root)).toEqual(["base", "here", "out"]);
    await base.close();
  });

  it("and empty is used", async () => {
    const { base, out } = await setUp();
    await mkdir(out);
    const writer = await createCheckpointWriter(base, `${out}/`, { force: false });
    await writer.finish({});
    await (await openCheckpoint(out)).close();
    await base.close();
  });

  it("and a link or a file is refused, also with force", async () => {
    const { root, base, out } = await setUp();
    const elsewhere = await makeFolder({}, join(root, "elsewhere"));
    await symlink(elsewhere, out);
    await expect(createCheckpointWriter(base, out, { force: true })).rejects.toThrow(/out: is a link/);
    await writeFile(join(root, "file"), "x");
    await expect(createCheckpointWriter(base, join(root, "file"), { force: true })).rejects.toThrow(/is a file/);
    expect(await readdir(root)).toEqual(["base", "elsewhere", "file", "out"]);
    await base.close();
  });

  it("and touches the base is refused, also with force and through links", async () => {
    const { root, base } = await setUp();
    await symlink(base.directory, join(root, "link"));
    await makeFolder({}, join(root, "models"));
    const inside = [
      base.directory,
      join(base.directory, "out"),
      root,
      join(root, "link"),
      join(root, "link", "a", "b"),
    ];
    for (const path of inside) {
      await expect(createCheckpointWriter(base, path, { force: true })).rejects.toThrow(/lies in or around the base/);
    }
    await base.close();
    // The folder written in is OUT.partial: it must not be the base either.
    const partial = await makeFolder({ ...SHARDS, ...COPIED }, join(root, "x.partial"));
    const other = await openCheckpoint(partial);
    await expect(createCheckpointWriter(other, join(root, "x"), { force: true })).rejects.toThrow(
      /in or around the base/,
    );
    await other.close();
  });
});

it("a base with a tokenizer linked from elsewhere is refused before anything is written", async () => {
  const { root, base, out } = await setUp();
  await writeFile(join(root, "secret.jinja"), "x");
  await symlink("../secret.jinja", join(base.directory, "chat.jinja"));
  await expect(createCheckpointWriter(base, out, { force: false })).rejects.toThrow(
    /chat\.jinja: is a link that leaves/,
  );
  expect(await readdir(root)).toEqual(["base", "secret.jinja"]);
  await base.close();
});

it("a base read from the hub's cache becomes real files", async () => {
  const root = await temporaryFolder();
  const repository = join(root, "models--org--name");
  const snapshot = join(repository, "snapshots", "0");
  await mkdir(snapshot, { recursive: true });
  for (const [name, content] of Object.entries({ ...SHARDS, ...COPIED })) {
    await makeFolder({ [`blobs/${name}.sha`]: content }, repository);
    await symlink(`../../blobs/${name}.sha`, join(snapshot, name));
  }
  const base = await openCheckpoint(snapshot);
  await expect(createCheckpointWriter(base, join(repository, "blobs", "out"), { force: false })).rejects.toThrow(
    /base/,
  );
  const out = join(root, "out");
  const writer = await createCheckpointWriter(base, out, { force: false });
  await writer.finish({});
  for (const name of await readdir(out)) expect((await lstat(join(out, name))).isFile()).toBe(true);
  expect(await readdir(out)).toEqual([...Object.keys(SHARDS), ...Object.keys(COPIED)].sort());
  await base.close();
});

it("a disk that is too small is said so before anything is written", async () => {
  const root = await temporaryFolder();
  const folder = await makeFolder({ "config.json": "{}" }, join(root, "base"));
  // One U8 tensor of 8 TiB in a file with a hole: no disk of a test machine has that room.
  const size = 2 ** 43;
  const header = Buffer.from(`{"w":{"dtype":"U8","shape":[${size}],"data_offsets":[0,${size}]}}`);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(header.length));
  const path = join(folder, "model.safetensors");
  await writeFile(path, Buffer.concat([prefix, header]));
  await truncate(path, 8 + header.length + size);
  const base = await openCheckpoint(folder);
  const refused = createCheckpointWriter(base, join(root, "out"), { force: false });
  await expect(refused).rejects.toThrow(/needs 8192\.00 GiB, and its disk has [\d.]+ GiB free/);
  await expect(refused).rejects.toThrow(RunError);
  expect(await readdir(root)).toEqual(["base"]);
  await base.close();
});

describe("leftovers", () => {
  const lock = (pid: number, more: object = {}) =>
    JSON.stringify({ pid, host: hostname(), id: "01234567-89ab-cdef-0123-456789abcdef", ...more });
  /** The id of a process that has just ended. */
  const deadPid = async (): Promise<number> => {
    const child = spawn(process.execPath, ["-e", ""]);
    await once(child, "exit");
    return child.pid ?? 0;
  };

  it("of a dead process are taken over", async () => {
    const { root, base, out } = await setUp();
    await makeFolder({ "out.partial/model.safetensors.partial": "x", "out.partial.lock": lock(await deadPid()) }, root);
    const writer = await createCheckpointWriter(base, out, { force: false });
    await writer.finish({});
    expect(await readdir(root)).toEqual(["base", "out"]);
    await base.close();
  });

  it("are not taken for such while a process is writing its lock", async () => {
    const { root, base, out } = await setUp();
    await makeFolder({ "out.partial.lock": "" }, root);
    const writer = createCheckpointWriter(base, out, { force: false });
    setTimeout(() => void writeFile(join(root, "out.partial.lock"), lock(process.pid)), 200);
    await expect(writer).rejects.toThrow(/out: is being written by process/);
    expect(await readdir(root)).toEqual(["base", "out.partial.lock"]);
    await base.close();
  });

  it.runIf(process.platform === "linux")(
    "of a process whose id another one has now are taken over (Linux)",
    async () => {
      const { root, base, out } = await setUp();
      await makeFolder({ "out.partial/x": "x", "out.partial.lock": lock(process.pid, { birth: "1" }) }, root);
      const writer = await createCheckpointWriter(base, out, { force: false });
      await writer.abandon();
      expect(await readdir(root)).toEqual(["base"]);
      await base.close();
    },
  );

  it("of a process that died while it replaced an older output give that back", async () => {
    const { root, base, out } = await setUp();
    const left = {
      "out.partial.lock": lock(await deadPid()),
      "out.replaced-01234567-89ab-cdef-0123-456789abcdef/old": "old",
    };
    await makeFolder({ ...left, "out.partial/config.json": "{}" }, root);
    await expect(createCheckpointWriter(base, out, { force: false })).rejects.toThrow(/is not empty/);
    expect(await readdir(root)).toEqual(["base", "out"]);
    expect(await readdir(out)).toEqual(["old"]);

    // With something new in its place nobody can tell which one is wanted: then nothing is touched.
    await makeFolder({ ...left, "out.partial/config.json": "{}" }, root);
    await expect(createCheckpointWriter(base, out, { force: true })).rejects.toThrow(
      /in the way of its former content/,
    );
    expect(await readdir(root)).toEqual([
      "base",
      "out",
      "out.partial",
      ...Object.keys(left).map((n) => n.split("/")[0]),
    ]);
    await base.close();
  });

  it("of a live process, or one on another machine, are left alone", async () => {
    const { root, base, out } = await setUp();
    const first = await createCheckpointWriter(base, out, { force: false });
    const second = createCheckpointWriter(base, out, { force: true });
    await expect(second).rejects.toThrow(InputError);
    await expect(second).rejects.toThrow(new RegExp(`out: is being written by process ${process.pid}`));
    await first.finish({});

    await makeFolder({ "new.partial/x": "x", "new.partial.lock": lock(await deadPid(), { host: "elsewhere" }) }, root);
    await expect(createCheckpointWriter(base, join(root, "new"), { force: false })).rejects.toThrow(/on "elsewhere"/);
    expect(await stat(join(root, "new.partial", "x"))).toBeDefined();
    await base.close();
  });

  it("that are not pare's are never removed", async () => {
    const { root, base, out } = await setUp();
    await makeFolder({ "out.partial/mine.txt": "precious" }, root);
    await expect(createCheckpointWriter(base, out, { force: true })).rejects.toThrow(/out\.partial: is in the way/);
    expect(await readdir(join(root, "out.partial"))).toEqual(["mine.txt"]);
    expect(await readdir(root)).toEqual(["base", "out.partial"]);
    await makeFolder({ "two.partial.lock": '{"pid":1,"host":"x","id":"../../base"}' }, root);
    await expect(createCheckpointWriter(base, join(root, "two"), { force: true })).rejects.toThrow(
      /no lock file of pare/,
    );
    await base.close();
  });
});

it("what the system refuses is a RunError that names the output", async () => {
  const { root, base } = await setUp();
  await writeFile(join(root, "file"), "x");
  const refused = createCheckpointWriter(base, join(root, "file", "out"), { force: false });
  await expect(refused).rejects.toThrow(RunError);
  await expect(refused).rejects.toThrow(/file\/out: cannot be written \(\w+\)/);
  await base.close();
});
