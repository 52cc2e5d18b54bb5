import { mkdir, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open.js";
import { type Header, parseHeader } from "../../src/checkpoint/safetensors.js";
import { InputError } from "../../src/errors.js";
import { float32, makeFolder, rawSafetensors, safetensors } from "./safetensors.js";

/** The InputError of opening `directory` (and then `act`); fails if there is none. */
async function refusal(directory: string): Promise<string> {
  const error: unknown = await openCheckpoint(directory).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(InputError);
  return (error as InputError).message;
}

const f32 = (begin: number, end: number, shape: unknown = [(end - begin) / 4]) => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});
const GOOD = safetensors({ a: { dtype: "F32", shape: [2], bytes: float32(1, 2) } });
const json = (text: string) => rawSafetensors(text, 0);

const HEADERS: readonly [what: string, file: Uint8Array, message: RegExp][] = [
  ["an empty file", new Uint8Array(0), /0 bytes are too few/],
  ["seven bytes", new Uint8Array(7), /7 bytes are too few/],
  ["a header of no length", rawSafetensors("", 8, 0), /does not begin with "\{"/],
  [
    "a header longer than the file",
    rawSafetensors({ a: f32(0, 8) }, 8, 5000),
    /header has 5000 bytes, and the whole file/,
  ],
  ["a header over the limit", rawSafetensors("{}", 0, 100_000_001), /header has 100000001 bytes, more than the limit/],
  ["a header of 2^64 - 1 bytes", rawSafetensors("{}", 0, 2n ** 64n - 1n), /18446744073709551615 bytes, more than/],
  ["a header cut off by its length", rawSafetensors({ a: f32(0, 8) }, 8, 20), /not valid JSON/],
  ["a file cut off", GOOD.slice(0, -1), /tensor "a" ends at byte 8 of 7 bytes of data; the file was cut off/],
  ["bytes after the last tensor", rawSafetensors({ a: f32(0, 8) }, 12), /last 4 bytes belong to no tensor/],
  ["an overlap", rawSafetensors({ a: f32(0, 8), b: f32(4, 12) }, 12), /tensors "a" and "b" overlap/],
  ["a tensor inside another", rawSafetensors({ a: f32(0, 12), b: f32(4, 8) }, 12), /tensors "a" and "b" overlap/],
  ["the same bytes twice", rawSafetensors({ a: f32(0, 8), b: f32(0, 8) }, 8), /tensors "a" and "b" overlap/],
  ["a gap", rawSafetensors({ a: f32(0, 4), b: f32(8, 12) }, 12), /4 bytes before tensor "b" belong to no tensor/],
  ["a gap at the start", rawSafetensors({ a: f32(4, 8) }, 8), /4 bytes before tensor "a" belong to no tensor/],
  ["offsets beyond the file", rawSafetensors({ a: f32(0, 800) }, 8), /tensor "a" ends at byte 800 of 8/],
  [
    "offsets backwards",
    rawSafetensors({ a: { ...f32(8, 8, [0]), data_offsets: [8, 0] } }, 8),
    /"a" ends at byte 0, before/,
  ],
  [
    "a negative offset",
    rawSafetensors({ a: { ...f32(0, 8), data_offsets: [-8, 0] } }, 8),
    /"a" has data_offsets that are not/,
  ],
  [
    "three offsets",
    rawSafetensors({ a: { ...f32(0, 8), data_offsets: [0, 8, 8] } }, 8),
    /"a" has data_offsets that are not/,
  ],
  ["offsets as text", rawSafetensors({ a: { ...f32(0, 8), data_offsets: ["0", "8"] } }, 8), /"a" has data_offsets/],
  ["no offsets", rawSafetensors({ a: { dtype: "F32", shape: [] } }, 4), /"a" has data_offsets that are not/],
  [
    "shape × dtype more than the bytes",
    rawSafetensors({ a: f32(0, 8, [3]) }, 8),
    /"a" is F32 of shape \[3\], 12 bytes, but has 8/,
  ],
  [
    "shape × dtype less than the bytes",
    rawSafetensors({ a: f32(0, 8, []) }, 8),
    /"a" is F32 of shape \[\], 4 bytes, but has 8/,
  ],
  ["a negative size", rawSafetensors({ a: f32(0, 8, [-2]) }, 8), /"a" has a shape that is no list of sizes/],
  ["two negative sizes", rawSafetensors({ a: f32(0, 8, [-1, -2]) }, 8), /"a" has a shape that is no list of sizes/],
  ["a fractional size", rawSafetensors({ a: f32(0, 8, [0.5, 4]) }, 8), /"a" has a shape that is no list of sizes/],
  [
    "a size beyond 2^53",
    json('{"a":{"dtype":"F32","shape":[1e300],"data_offsets":[0,0]}}'),
    /"a" has a shape that is no list/,
  ],
  [
    "a product beyond 2^53",
    rawSafetensors({ a: f32(0, 8, [2 ** 52, 2 ** 52]) }, 8),
    /"a" has an impossibly large shape/,
  ],
  [
    "a product that overflows to 0",
    rawSafetensors({ a: f32(0, 0, [2 ** 32, 2 ** 32]) }, 0),
    /"a" has an impossibly large/,
  ],
  ["a shape as text", rawSafetensors({ a: f32(0, 8, "2") }, 8), /"a" has a shape that is no list of sizes/],
  ["an unknown dtype", rawSafetensors({ a: { ...f32(0, 8), dtype: "Q4_K" } }, 8), /"a" has the dtype "Q4_K"/],
  [
    "a dtype of Object.prototype",
    rawSafetensors({ a: { ...f32(0, 8), dtype: "toString" } }, 8),
    /"a" has the dtype "toString"/,
  ],
  ["no dtype", rawSafetensors({ a: { shape: [2], data_offsets: [0, 8] } }, 8), /"a" has the dtype "undefined"/],
  ["a tensor that is a list", rawSafetensors({ a: [] }, 0), /"a" is not described by an object/],
  ["a tensor that is null", rawSafetensors({ a: null }, 0), /"a" is not described by an object/],
  [
    "a tensor named __proto__",
    json('{"__proto__":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'),
    /"__proto__" ends at byte 8/,
  ],
  ["a name twice", json('{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{}}'), /"a" stands twice/],
  ["a name twice, once escaped", json('{"ab":1,"\\u0061b":1}'), /"ab" stands twice/],
  [
    "an offset key twice",
    json('{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0],"data_offsets":[0,0]}}'),
    /"data_offsets" stands twice/,
  ],
  [
    "metadata that is no strings",
    rawSafetensors({ __metadata__: { format: 1 } }, 0),
    /__metadata__ in its header may hold strings/,
  ],
  [
    "metadata that is a string",
    rawSafetensors({ __metadata__: "pt" }, 0),
    /__metadata__ in its header may hold strings/,
  ],
  ["a header of blanks first", json(' {"a":1}'), /does not begin with "\{"/],
  ["a header that is a list", json("[]"), /does not begin with "\{"/],
  ["something after the object", json("{}{}"), /not valid JSON/],
  ["no JSON", json('{"a"'), /not valid JSON/],
  ["an open string", json('{"a\\'), /not valid JSON/],
  ["no UTF-8", new Uint8Array([3, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff, 0x7d]), /not UTF-8/],
  ["deep objects", json(`${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`), /nested deeper than 64/],
  ["deep lists", json(`{"a":${"[".repeat(100_000)}`), /nested deeper than 64/],
];

describe("a safetensors file with", () => {
  it.each(HEADERS)("%s is refused", async (_, file, message) => {
    const error = await refusal(await makeFolder({ "config.json": "{}", "model.safetensors": file }));
    expect(error).toMatch(message);
    expect(error).toMatch(/model\.safetensors: /);
    expect(error).not.toMatch(/\n/);
  });

  it("a header over the limit, really there, is refused unread", async () => {
    const folder = await makeFolder({ "config.json": "{}", "model.safetensors": rawSafetensors("{", 0, 200_000_000) });
    await truncate(join(folder, "model.safetensors"), 300_000_000);
    expect(await refusal(folder)).toMatch(/200000000 bytes, more than the limit/);
  });

  it("a name full of control characters is shown harmless and short", async () => {
    const name = `\u001b[2J\u009b${"x".repeat(10_000)}`;
    const error = await refusal(
      await makeFolder({ "config.json": "{}", "model.safetensors": rawSafetensors({ [name]: null }, 0) }),
    );
    expect(error).not.toMatch(/\p{Cc}/u);
    expect(error.length).toBeLessThan(600);
  });
});

describe("weights that are", () => {
  const read = async (dtype: string, shape: number[], bytes: Uint8Array): Promise<unknown> => {
    const file = safetensors({ w: { dtype, shape, bytes } });
    const checkpoint = await openCheckpoint(await makeFolder({ "config.json": "{}", "model.safetensors": file }));
    try {
      return await checkpoint.read("w").catch((reason: unknown) => reason);
    } finally {
      await checkpoint.close();
    }
  };
  it.each([
    ["NaN in F32", "F32", [2, 2], float32(0, 0, Number.NaN, 0), /model\.safetensors: tensor "w" is NaN at \[1, 0\]/],
    ["infinite in F32", "F32", [2], float32(0, Number.NEGATIVE_INFINITY), /tensor "w" is -Infinity at \[1\]/],
    ["NaN in F16", "F16", [1], Uint8Array.of(0x01, 0x7e), /tensor "w" is NaN at \[0\]/],
    ["infinite in F16", "F16", [1], Uint8Array.of(0x00, 0x7c), /tensor "w" is Infinity at \[0\]/],
    ["NaN in BF16", "BF16", [1], Uint8Array.of(0xc0, 0xff), /tensor "w" is NaN at \[0\]/],
    ["infinite in BF16", "BF16", [1], Uint8Array.of(0x80, 0xff), /tensor "w" is -Infinity at \[0\]/],
    ["a NaN scalar", "F32", [], float32(Number.NaN), /tensor "w" is NaN at \[\]/],
    ["F64", "F64", [1], new Uint8Array(8), /model\.safetensors: tensor "w" is stored as F64/],
    ["I8", "I8", [8], new Uint8Array(8), /model\.safetensors: tensor "w" is stored as I8/],
    ["F8_E4M3", "F8_E4M3", [8], new Uint8Array(8), /model\.safetensors: tensor "w" is stored as F8_E4M3/],
  ] as const)("%s are refused when they are read", async (_, dtype, shape, bytes, message) => {
    const error = await read(dtype, [...shape], bytes);
    expect(error).toBeInstanceOf(InputError);
    expect((error as InputError).message).toMatch(message);
  });

  it("cut off after opening are refused", async () => {
    const folder = await makeFolder({ "config.json": "{}", "model.safetensors": GOOD });
    const checkpoint = await openCheckpoint(folder);
    await truncate(join(folder, "model.safetensors"), GOOD.length - 4);
    await expect(checkpoint.read("a")).rejects.toThrow(/model\.safetensors: ended early/);
    await expect(checkpoint.read("a")).rejects.toThrow(InputError);
    await checkpoint.close();
  });
});

const index = (weightMap: unknown) => JSON.stringify({ weight_map: weightMap });
const one = (name: string) => safetensors({ [name]: { dtype: "F32", shape: [1], bytes: float32(1) } });

describe("an index", () => {
  const FOLDERS: readonly [what: string, files: Record<string, string | Uint8Array>, message: RegExp][] = [
    [
      "naming ../../x",
      { i: index({ a: "../../x.safetensors" }) },
      /names the file "..\/..\/x.safetensors"; only plain/,
    ],
    [
      "naming an absolute path",
      { i: index({ a: "/etc/x.safetensors" }) },
      /names the file "\/etc\/x.safetensors"; only plain/,
    ],
    ["naming a Windows path", { i: index({ a: "..\\x.safetensors" }) }, /only plain names/],
    ["naming a drive", { i: index({ a: "C:x.safetensors" }) }, /only plain names/],
    [
      "naming a folder below",
      { i: index({ a: "sub/x.safetensors" }), "sub/x.safetensors": one("a") },
      /only plain names/,
    ],
    ["naming ..", { i: index({ a: ".." }) }, /names the file ".."; only plain/],
    ["naming nothing", { i: index({ a: "" }) }, /names the file ""; only plain/],
    ["naming a file with a NUL", { i: index({ a: "x\0.safetensors" }) }, /only plain names/],
    ["naming a pickle", { i: index({ a: "pytorch_model.bin" }) }, /names "pytorch_model.bin"; only .safetensors/],
    ["naming a number", { i: index({ a: 1 }) }, /names no file for tensor "a"/],
    ["without weight_map", { i: "{}" }, /has no weight_map/],
    ["with a list as weight_map", { i: index([]) }, /has no weight_map/],
    ["that is no JSON", { i: "weights" }, /not valid JSON/],
    ["nested deep", { i: `{"weight_map":${"[".repeat(1000)}` }, /nested deeper/],
    ["naming a tensor twice", { i: '{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}' }, /"a" stands twice/],
    [
      "naming too many files",
      { i: index(Object.fromEntries(Array.from({ length: 2001 }, (_, k) => [k, `${k}.safetensors`]))) },
      /2001 files/,
    ],
  ];
  it.each(FOLDERS)("%s is refused", async (_, { i, ...files }, message) => {
    const error = await refusal(
      await makeFolder({ "config.json": "{}", "model.safetensors.index.json": i ?? "", ...files }),
    );
    expect(error).toMatch(message);
    expect(error).toMatch(/model\.safetensors\.index\.json: /);
  });

  it("naming a file that is not there is refused with that file's name", async () => {
    const folder = await makeFolder({
      "config.json": "{}",
      "model.safetensors.index.json": index({ a: "x.safetensors" }),
    });
    expect(await refusal(folder)).toMatch(/x\.safetensors: is missing/);
  });

  it("and shards that disagree are refused, naming both", async () => {
    const files = { "config.json": "{}", "x.safetensors": one("a"), "y.safetensors": one("b") };
    const open = async (map: unknown, more: Record<string, Uint8Array> = {}) =>
      refusal(await makeFolder({ ...files, "model.safetensors.index.json": index(map), ...more }));
    const [x, y] = ["x.safetensors", "y.safetensors"];
    expect(await open({ a: x, b: y, c: y })).toMatch(/tensor "c" is in "y.safetensors", which has no such tensor;/);
    expect(await open({ a: y, b: y })).toMatch(/tensor "a" is in "y.safetensors", which has no such tensor;/);
    expect(await open({ a: y, b: x })).toMatch(
      /"a" is in "y.safetensors", which has no such tensor \(it is in "x.safetensors"\)/,
    );
    expect(
      await open(
        { a: x },
        {
          [x]: safetensors({
            a: { dtype: "F32", shape: [1], bytes: float32(1) },
            z: { dtype: "F32", shape: [1], bytes: float32(1) },
          }),
        },
      ),
    ).toMatch(/does not name tensor "z" of "x.safetensors"/);
    expect(await open({ a: x, b: y }, { [y]: one("a") })).toMatch(
      /y\.safetensors: tensor "a" stands in "x.safetensors" too/,
    );
  });
});

describe("links", () => {
  it("that leave the folder are refused, and those inside it followed", async () => {
    const outside = await makeFolder({ "secret.safetensors": GOOD, "config.json": "{}" });
    const folder = await makeFolder({ "config.json": "{}", "weights.safetensors": GOOD });
    await symlink("weights.safetensors", join(folder, "model.safetensors"));
    await (await openCheckpoint(folder)).close();

    for (const target of [join(outside, "secret.safetensors"), "../secret.safetensors"]) {
      const bad = await makeFolder({ "config.json": "{}" }, await makeFolder({}));
      await writeFile(join(bad, "..", "secret.safetensors"), GOOD);
      await symlink(target, join(bad, "model.safetensors"));
      expect(await refusal(bad)).toMatch(/model\.safetensors: is a link that leaves the folder/);
    }
    const config = await makeFolder({ "model.safetensors": GOOD });
    await symlink(join(outside, "config.json"), join(config, "config.json"));
    expect(await refusal(config)).toMatch(/config\.json: is a link that leaves the folder/);
  });

  it("of a hub snapshot may lead to its own blobs only", async () => {
    const cache = await makeFolder({ "models--b--b/blobs/1": GOOD, "models--a--a/refs/main": "0" });
    const snapshot = await makeFolder({ "config.json": "{}" }, join(cache, "models--a--a", "snapshots", "0"));
    await symlink("../../../models--b--b/blobs/1", join(snapshot, "model.safetensors"));
    expect(await refusal(snapshot)).toMatch(/leaves the folder/);
    // and the same way up is no excuse outside the hub's layout
    const other = await makeFolder({ "blobs/1": GOOD, "snapshots/0/config.json": "{}" });
    await symlink("../../blobs/1", join(other, "snapshots", "0", "model.safetensors"));
    expect(await refusal(join(other, "snapshots", "0"))).toMatch(/leaves the folder/);
  });

  it("to nothing count as missing, and a folder in place of a file is refused", async () => {
    const dangling = await makeFolder({ "config.json": "{}" });
    await symlink("nowhere", join(dangling, "model.safetensors"));
    expect(await refusal(dangling)).toMatch(/model\.safetensors: is missing/);
    const folder = await makeFolder({ "config.json": "{}" });
    await mkdir(join(folder, "model.safetensors"));
    expect(await refusal(folder)).toMatch(/model\.safetensors: is not a regular file/);
  });
});

describe("a folder", () => {
  it.each([
    ["with no config.json", { "model.safetensors": GOOD }, /has no config\.json/],
    [
      "with a config that is no object",
      { "model.safetensors": GOOD, "config.json": "[]" },
      /config\.json: JSON, but not an object/,
    ],
    [
      "with a config that is no JSON",
      { "model.safetensors": GOOD, "config.json": "{'a':1}" },
      /config\.json: not valid JSON/,
    ],
    [
      "with a key of the config twice",
      { "model.safetensors": GOOD, "config.json": '{"a":1,"a":2}' },
      /config\.json: "a" stands twice/,
    ],
    [
      "with a huge config",
      { "model.safetensors": GOOD, "config.json": " ".repeat(10_000_001) },
      /config\.json: has 10000001 bytes/,
    ],
    [
      "with a deep config",
      { "model.safetensors": GOOD, "config.json": '{"a":'.repeat(1000) },
      /config\.json: JSON nested deeper/,
    ],
    [
      "with a pickle only",
      { "config.json": "{}", "pytorch_model.bin": "x" },
      /pickle.*convert it: python -c .*save_pretrained/,
    ],
    [
      "with sharded pickles",
      { "config.json": "{}", "pytorch_model.bin.index.json": "{}" },
      /pickle.*convert it: python -c/,
    ],
    [
      "with two GGUF files only",
      { "a.gguf": "GGUF", "b.gguf": "GGUF" },
      /holds 2 GGUF files .*name the one that is meant/,
    ],
    ["with a GGUF file that is cut off", { "a.gguf": "GGUF" }, /a\.gguf: ends inside its version/],
    ["with nothing", {}, /has neither model\.safetensors nor model\.safetensors\.index\.json/],
  ] as const)("%s is refused", async (_, files, message) => {
    const folder = await makeFolder(files);
    const error = await refusal(folder);
    expect(error).toMatch(message);
    expect(error).toContain(folder);
  });

  it("that is none is refused", async () => {
    const folder = await makeFolder({ "pytorch_model.bin": "x", "b.safetensors": GOOD });
    expect(await refusal(join(folder, "pytorch_model.bin"))).toMatch(/pickle.*convert it: python -c .*save_pretrained/);
    expect(await refusal(join(folder, "b.safetensors"))).toMatch(/not a folder; give a folder with config\.json/);
    expect(await refusal("meta-llama/Llama-2-7b-hf")).toMatch(/no such folder.*hub/);
  });
});

describe("parseHeader, whatever the bytes", () => {
  /** Throws nothing but InputError, and what it accepts lies in the file, side by side. */
  function check(file: Uint8Array): void {
    let header: Header;
    try {
      header = parseHeader(file, file.length, "x.safetensors");
    } catch (error) {
      expect(error).toBeInstanceOf(InputError);
      return;
    }
    let end = 8 + Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
    for (const entry of header.entries) {
      expect(entry.begin).toBe(end);
      expect(entry.end).toBeGreaterThanOrEqual(entry.begin);
      end = entry.end;
    }
    expect(end).toBe(file.length);
  }

  it("holds for arbitrary bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), check), { numRuns: 2000 });
    fc.assert(
      fc.property(fc.json(), fc.nat(40), (text, size) => check(rawSafetensors(text, size))),
      { numRuns: 1000 },
    );
  });

  it("holds for entries of arbitrary offsets and shapes", () => {
    const offset = fc.nat({ max: 24 }).map((n) => n & ~3);
    const entry = fc.record({
      dtype: fc.constantFrom("F32", "F16", "U8"),
      shape: fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 2 }),
      data_offsets: fc.tuple(offset, offset),
    });
    const right = offset.map((n) => f32(0, n));
    const header = fc.dictionary(fc.constantFrom("a", "b", "c"), fc.oneof(entry, right));
    fc.assert(
      fc.property(header, fc.nat({ max: 24 }), (h, size) => check(rawSafetensors(h, size))),
      { numRuns: 5000 },
    );
  });

  it("holds for a right file with some bytes changed", () => {
    const good = safetensors({
      a: { dtype: "F32", shape: [2, 2], bytes: float32(1, 2, 3, 4) },
      b: { dtype: "BF16", shape: [4], bytes: new Uint8Array(8) },
      c: { dtype: "F32", shape: [0], bytes: new Uint8Array(0) },
    });
    expect(parseHeader(good, good.length, "x").entries).toHaveLength(3);
    const change = fc.tuple(
      fc.nat(good.length - 1),
      fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('0123456789{}[],:"'))),
    );
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), fc.nat(8), (changes, cut) => {
        const file = good.slice(0, good.length - (cut > 4 ? cut : 0));
        for (const [place, byte] of changes) file[place % file.length] = byte;
        check(file);
      }),
      { numRuns: 5000 },
    );
  });
});
