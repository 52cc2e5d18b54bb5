import { truncate, writeFile } from "node:fs/promises";
import { join as joinPath } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type GgufHeader, parseGgufHeader } from "../../src/checkpoint/gguf/header.js";
import { openCheckpoint } from "../../src/checkpoint/open.js";
import { InputError } from "../../src/errors.js";
import { loadTokenizer } from "../../src/tokenizer/tokenizer.js";
import { gguf, info, join, pair, text, u32, u64 } from "./gguf.js";
import { makeFolder, temporaryFolder } from "./safetensors.js";

async function refusal(path: string): Promise<string> {
  const error: unknown = await openCheckpoint(path).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(InputError);
  const { message } = error as InputError;
  expect(message).not.toMatch(/\n/);
  return message;
}

const F32 = 0;
const vector = (name: string, offset: number) => info(name, [8], F32, offset);
const array = (type: number, count: number | bigint, ...items: Uint8Array[]) =>
  join(u32(9), u32(type), u64(count), ...items);
const withPair = (value: number | string | Uint8Array) => gguf({ pairs: [pair("a", value)] });

const HEADERS: readonly [what: string, file: Uint8Array, message: RegExp][] = [
  ["an empty file", new Uint8Array(0), /ends inside its first four bytes/],
  ["another magic", gguf({ magic: "GGUX" }), /does not begin with "GGUF"/],
  ["the format before GGUF", gguf({ magic: "tjgg" }), /a GGML file, older than GGUF/],
  ["version 0", gguf({ version: 0 }), /GGUF version 0; versions 2 and 3 are read/],
  ["version 1", gguf({ version: 1 }), /GGUF version 1;/],
  ["version 4", gguf({ version: 4 }), /GGUF version 4;/],
  ["big endian", gguf({ version: 3 << 24 }), /a big-endian GGUF file/],
  ["no counts", gguf({}).slice(0, 12), /ends inside the number of tensors/],
  ["2^64 - 1 tensors", gguf({ tensorCount: 2n ** 64n - 1n }), /the number of tensors is given as 18446744073709551615/],
  [
    "too many tensors",
    gguf({ tensorCount: 200_000 }),
    /the number of tensors is 200000, more than the limit of 131072/,
  ],
  [
    "more tensors than bytes",
    gguf({ tensorCount: 100 }),
    /the number of tensors is 100, more than the file has room for/,
  ],
  ["too many keys", gguf({ pairCount: 1e9 }), /the number of metadata keys is 1000000000, more than the limit/],
  [
    "more keys than bytes",
    gguf({ pairCount: 50 }),
    /the number of metadata keys is 50, more than the file has room for/,
  ],
  ["a key of 2^63 bytes", gguf({ pairs: [join(text("a", 2n ** 63n), u32(4), u32(1))] }), /an impossible number/],
  [
    "a key over the limit",
    gguf({ pairs: [join(text("a", 70_000), u32(4), u32(1))] }),
    /a metadata key is a text of 70000 bytes/,
  ],
  ["a key beyond the end", gguf({ pairs: [join(text("a", 60_000), u32(4), u32(1))] }), /ends inside a metadata key/],
  [
    "a key that is not UTF-8",
    gguf({ pairs: [join(text(Uint8Array.of(0xff)), u32(4), u32(1))] }),
    /a metadata key holds text that is not UTF-8/,
  ],
  ["a key twice", gguf({ pairs: [pair("a", 1), pair("a", 2)] }), /metadata "a" stands twice/],
  ["an unknown type of value", withPair(u32(13)), /metadata "a" has a value of the unknown type 13/],
  ["a flag that is 2", withPair(join(u32(7), Uint8Array.of(2))), /metadata "a" is neither true nor false but 2/],
  ["a text beyond the end", withPair(join(u32(8), text("x", 1000))), /ends inside metadata "a"/],
  [
    "a text of 2^64 - 1 bytes",
    withPair(join(u32(8), text("x", 2n ** 64n - 1n))),
    /metadata "a" is given as 18446744073709551615/,
  ],
  [
    "a text over the limit",
    withPair(join(u32(8), text("x", 2 ** 30))),
    /metadata "a" is a text of 1073741824 bytes, more than the limit/,
  ],
  ["an array of arrays", withPair(array(9, 1, u32(4), u64(0))), /metadata "a" is an array of arrays/],
  ["an array of an unknown type", withPair(array(200, 0)), /metadata "a" has a value of the unknown type 200/],
  [
    "an array longer than the file",
    withPair(array(4, 1000)),
    /the length of metadata "a" is 1000, more than the file has room for/,
  ],
  [
    "an array over the limit",
    withPair(array(0, 2 ** 24)),
    /the length of metadata "a" is 16777216, more than the limit of 4194304/,
  ],
  [
    "an array of 2^64 - 1",
    withPair(array(0, 2n ** 64n - 1n)),
    /the length of metadata "a" is given as 18446744073709551615/,
  ],
  [
    "an array of texts cut off",
    withPair(array(8, 2, text("x"), u32(5))),
    /ends inside metadata "a"|more than the file has room for/,
  ],
  ...([0, 3, 48, -32, 2 ** 21] as const).map(
    (alignment) =>
      [
        `an alignment of ${alignment}`,
        gguf({ pairs: [pair("general.alignment", join(u32(5), new Uint8Array(new Int32Array([alignment]).buffer)))] }),
        /"general.alignment" is ".*" and no power of two/,
      ] as [string, Uint8Array, RegExp],
  ),
  [
    "an alignment that is a text",
    gguf({ pairs: [pair("general.alignment", "32")] }),
    /"general.alignment" is "32" and no power/,
  ],
  [
    "a name over the limit",
    gguf({ tensors: [vector("x".repeat(65), 0)], data: 32 }),
    /a tensor's name is a text of 65 bytes/,
  ],
  ["a tensor twice", gguf({ tensors: [vector("t", 0), vector("t", 32)], data: 64 }), /tensor "t" stands twice/],
  ["no dimensions", gguf({ tensors: [info("t", [], F32, 0)], data: 32 }), /tensor "t" has 0 dimensions/],
  ["five dimensions", gguf({ tensors: [info("t", [1, 1, 1, 1, 8], F32, 0)], data: 32 }), /tensor "t" has 5 dimensions/],
  [
    "2^32 - 1 dimensions",
    gguf({ tensors: [info("t", [8], F32, 0, 2 ** 32 - 1)], data: 32 }),
    /tensor "t" has 4294967295 dimensions/,
  ],
  ["a size of 0", gguf({ tensors: [info("t", [8, 0], F32, 0)], data: 32 }), /tensor "t" has a size of 0/],
  [
    "a size beyond 2^53",
    gguf({ tensors: [info("t", [2n ** 60n], F32, 0)], data: 32 }),
    /a tensor's size is given as 1152921504606846976/,
  ],
  [
    "a product beyond 2^53",
    gguf({ tensors: [info("t", [2 ** 40, 2 ** 40], F32, 0)], data: 32 }),
    /tensor "t" has an impossibly large shape/,
  ],
  [
    "a product that overflows to 0",
    gguf({ tensors: [info("t", [2 ** 32, 2 ** 32], F32, 0)], data: 32 }),
    /impossibly large shape/,
  ],
  ["an unknown type", gguf({ tensors: [info("t", [8], 4, 0)], data: 32 }), /tensor "t" has the unknown type 4/],
  [
    "rows of no whole blocks",
    gguf({ tensors: [info("t", [40, 2], 8, 0)], data: 128 }),
    /tensor "t" is Q8_0 in rows of 40, no multiple of 32/,
  ],
  [
    "an offset off its place",
    gguf({ tensors: [vector("t", 4)], data: 64 }),
    /tensor "t" begins at byte 4 of the data instead of 0: it leaves a gap/,
  ],
  [
    "an overlap",
    gguf({ tensors: [vector("t", 0), vector("u", 0)], data: 64 }),
    /tensor "u" begins at byte 0 of the data instead of 32: it overlaps/,
  ],
  [
    "a gap",
    gguf({ tensors: [vector("t", 0), vector("u", 64)], data: 128 }),
    /tensor "u" begins at byte 64 of the data instead of 32/,
  ],
  [
    "an offset of 2^64 - 1",
    gguf({ tensors: [info("t", [8], F32, 2n ** 64n - 1n)], data: 32 }),
    /a tensor's offset is given as 18446744073709551615/,
  ],
  [
    "data cut off",
    gguf({ tensors: [vector("t", 0), vector("u", 32)], data: 63 }),
    /tensor "u" ends at byte \d+, and the whole file has \d+; it was cut off/,
  ],
  [
    "a tensor larger than the file",
    gguf({ tensors: [info("t", [2 ** 40], F32, 0)], data: 32 }),
    /tensor "t" ends at byte 4398046\d+, and the whole file/,
  ],
];

const SIZES = [
  pair("general.architecture", "llama"),
  pair("llama.context_length", 8),
  pair("llama.embedding_length", 8),
  pair("llama.block_count", 1),
  pair("llama.feed_forward_length", 8),
  pair("llama.attention.head_count", 2),
  pair("llama.attention.layer_norm_rms_epsilon", join(u32(6), new Uint8Array(new Float32Array([1e-5]).buffer))),
];
const EMBEDDINGS = info("token_embd.weight", [8, 4], F32, 0);
const model = (
  more: { pairs?: readonly Uint8Array[]; tensors?: readonly Uint8Array[]; data?: number | Uint8Array } = {},
) => gguf({ pairs: [...SIZES, ...(more.pairs ?? [])], tensors: more.tensors ?? [EMBEDDINGS], data: more.data ?? 128 });
const without = (key: string) => SIZES.filter((one) => !Buffer.from(one).includes(key));

const MODELS: readonly [what: string, file: Uint8Array, message: RegExp][] = [
  [
    "no architecture",
    gguf({ pairs: without("general.architecture"), tensors: [EMBEDDINGS], data: 128 }),
    /has no metadata "general.architecture"/,
  ],
  [
    "an unknown architecture",
    gguf({ pairs: [pair("general.architecture", "llama5")], tensors: [EMBEDDINGS], data: 128 }),
    /architecture "llama5" is not supported in GGUF; the nearest is "llama"/,
  ],
  [
    "a part of a split model",
    model({ pairs: [pair("split.count", 3)] }),
    /is one of 3 parts of a model; put them together/,
  ],
  ["an adapter", model({ pairs: [pair("general.type", "adapter")] }), /is of the type "adapter" and no whole model/],
  ["no embeddings", gguf({ pairs: SIZES }), /has no tensor "token_embd.weight"/],
  [
    "a size missing",
    gguf({ pairs: without("head_count"), tensors: [EMBEDDINGS], data: 128 }),
    /has no metadata "llama.attention.head_count"/,
  ],
  [
    "a size that is a text",
    gguf({ pairs: [...without("block_count"), pair("llama.block_count", "1")], tensors: [EMBEDDINGS], data: 128 }),
    /"llama.block_count" is not a finite number/,
  ],
  [
    "heads of no whole size",
    gguf({
      pairs: [...without("head_count"), pair("llama.attention.head_count", 3)],
      tensors: [EMBEDDINGS],
      data: 128,
    }),
    /heads of impossible sizes/,
  ],
  [
    "no heads",
    gguf({
      pairs: [...without("head_count"), pair("llama.attention.head_count", 0)],
      tensors: [EMBEDDINGS],
      data: 128,
    }),
    /heads of impossible sizes/,
  ],
  [
    "heads that differ by layer",
    model({ pairs: [pair("llama.attention.head_count_kv", array(4, 2, u32(1), u32(2)))] }),
    /"llama.attention.head_count_kv" differs from layer to layer/,
  ],
  [
    "a key that may matter",
    model({ pairs: [pair("llama.attention.clamp_kqv", 3)] }),
    /metadata "llama.attention.clamp_kqv" is not known to pare/,
  ],
  [
    "a tensor that may matter",
    model({ tensors: [EMBEDDINGS, info("blk.0.attn_sinks.weight", [8], F32, 128)], data: 160 }),
    /tensor "blk.0.attn_sinks.weight" is not one that pare knows of "llama"/,
  ],
  [
    "a name of Object.prototype",
    model({ tensors: [EMBEDDINGS, info("blk.0.toString.weight", [8], F32, 128)], data: 160 }),
    /tensor "blk.0.toString.weight" is not one that/,
  ],
  [
    "an importance-weighted type",
    model({ tensors: [info("token_embd.weight", [256, 4], 16, 0)], data: 264 }),
    /tensor "token_embd.weight" is stored as IQ2_XXS, which pare does not read/,
  ],
  [
    "whole numbers as weights",
    model({ tensors: [info("token_embd.weight", [8, 4], 24, 0)], data: 32 }),
    /stored as I8, which pare does not read/,
  ],
  [
    "float64 weights",
    model({ tensors: [info("token_embd.weight", [8, 4], 28, 0)], data: 256 }),
    /stored as F64, which pare does not read/,
  ],
  [
    "an unknown rope scaling",
    model({ pairs: [pair("llama.rope.scaling.type", "spiral")] }),
    /rope scaling "spiral" is not supported/,
  ],
  ["yarn without a factor", model({ pairs: [pair("llama.rope.scaling.type", "yarn")] }), /yarn without a factor/],
  [
    "rope over a part of a head",
    model({ pairs: [pair("llama.rope.dimension_count", 2)] }),
    /rotates 2 of a head's 4 dimensions/,
  ],
  [
    "rope factors of another length",
    model({
      tensors: [EMBEDDINGS, info("rope_freqs.weight", [8], F32, 128)],
      data: new Uint8Array(new Float32Array(40).fill(1).buffer),
    }),
    /has 8 rope factors for 2 frequencies/,
  ],
  [
    "rope factors that are 0",
    model({ tensors: [EMBEDDINGS, info("rope_freqs.weight", [2], F32, 128)], data: 160 }),
    /"rope_freqs.weight" has factors that are no positive numbers/,
  ],
  [
    "q in rows that are no heads",
    model({ tensors: [EMBEDDINGS, info("blk.0.attn_q.weight", [8, 6], F32, 128)], data: 320 }),
    /tensor "blk.0.attn_q.weight" has 6 rows, which do not make up heads/,
  ],
];

const TOKENS = array(8, 3, text("a"), text("b"), text("ab"));
const vocabulary = (...more: Uint8Array[]) =>
  gguf({ pairs: [pair("tokenizer.ggml.model", "gpt2"), pair("tokenizer.ggml.tokens", TOKENS), ...more] });
const MERGES = pair("tokenizer.ggml.merges", array(8, 1, text("a b")));

const TOKENIZERS: readonly [what: string, file: Uint8Array, message: RegExp][] = [
  [
    "a kind of vocabulary that is not read",
    gguf({ pairs: [pair("tokenizer.ggml.model", "t5")] }),
    /its tokenizer is of the kind "t5"/,
  ],
  [
    "no tokens",
    gguf({ pairs: [pair("tokenizer.ggml.model", "gpt2")] }),
    /"tokenizer.ggml.tokens" is no list of strings/,
  ],
  [
    "an unknown pre-tokenizer",
    vocabulary(MERGES, pair("tokenizer.ggml.pre", "quen2")),
    /cuts texts as "quen2" does, which pare does not know \(it knows "qwen2"\)/,
  ],
  [
    "a pre-tokenizer of Object.prototype",
    vocabulary(MERGES, pair("tokenizer.ggml.pre", "constructor")),
    /cuts texts as "constructor" does/,
  ],
  ["no merges", vocabulary(), /"tokenizer.ggml.merges" is no list of strings/],
  [
    "a merge of unknown tokens",
    vocabulary(pair("tokenizer.ggml.merges", array(8, 1, text("a c")))),
    /the merge "a c" is not of its tokens/,
  ],
  [
    "a merge of one token",
    vocabulary(pair("tokenizer.ggml.merges", array(8, 1, text("ab")))),
    /the merge "ab" is not of its tokens/,
  ],
  [
    "kinds of fewer tokens",
    vocabulary(MERGES, pair("tokenizer.ggml.token_type", array(5, 1, u32(1)))),
    /"tokenizer.ggml.token_type" has 1 entries for 3 tokens/,
  ],
  [
    "a token id that is a text",
    vocabulary(MERGES, pair("tokenizer.ggml.bos_token_id", "a")),
    /"tokenizer.ggml.bos_token_id" is no token id/,
  ],
];

describe("a GGUF file is refused in one line that names what is wrong:", () => {
  it.each([...HEADERS, ...MODELS])("%s", async (_what, file, message) => {
    const folder = await makeFolder({ "model.gguf": file });
    expect(await refusal(joinPath(folder, "model.gguf"))).toMatch(message);
  });

  it.each(TOKENIZERS)("%s", async (_what, file, message) => {
    const folder = await makeFolder({ "model.gguf": file });
    await expect(loadTokenizer(joinPath(folder, "model.gguf"))).rejects.toThrow(InputError);
    await expect(loadTokenizer(joinPath(folder, "model.gguf"))).rejects.toThrow(message);
  });

  it("NaN in a weight, at its place", async () => {
    const values = new Float32Array(32);
    values[13] = Number.NaN;
    const folder = await makeFolder({ "model.gguf": model({ data: new Uint8Array(values.buffer) }) });
    const checkpoint = await openCheckpoint(joinPath(folder, "model.gguf"));
    await expect(checkpoint.read("model.embed_tokens.weight")).rejects.toThrow(
      /"model.embed_tokens.weight" is NaN at \[1, 5\]/,
    );
    await checkpoint.close();
  });
});

const GOOD = model({
  pairs: [pair("general.alignment", 64), pair("x", array(4, 2, u32(1), u32(2))), pair("tokenizer.ggml.model", "none")],
  tensors: [EMBEDDINGS, info("blk.0.attn_norm.weight", [8], F32, 128)],
  data: 256,
});

it("opens what the others are made of", async () => {
  const folder = await makeFolder({ "model.gguf": model() });
  const checkpoint = await openCheckpoint(joinPath(folder, "model.gguf"));
  expect(checkpoint.tensors.get("model.embed_tokens.weight")?.shape).toEqual([4, 8]);
  await checkpoint.close();
});

it("never does anything but read or refuse, whatever bytes are changed", () => {
  const change = fc.record({ at: fc.nat(GOOD.length - 1), value: fc.nat(255) });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), fc.nat(GOOD.length), (changes, length) => {
      const file = GOOD.slice(0, length);
      for (const { at, value } of changes) if (at < file.length) file[at] = value;
      let header: GgufHeader | undefined;
      try {
        header = parseGgufHeader(file, file.length, "model.gguf");
      } catch (error) {
        expect(error).toBeInstanceOf(InputError);
        return;
      }
      // A whole file is never too little of itself.
      for (const { begin, end } of header!.tensors) expect(begin < end && end <= file.length).toBe(true);
    }),
    { numRuns: 2000 },
  );
});

it("takes no more memory than its limits, whatever a header claims", async () => {
  const folder = await temporaryFolder();
  const path = joinPath(folder, "model.gguf");
  const before = process.memoryUsage().arrayBuffers;
  for (const claim of [array(8, 2 ** 22, text("x", 2 ** 24 + 1)), array(8, 2 ** 23), array(0, 2n ** 62n)]) {
    await writeFile(path, withPair(claim));
    await truncate(path, 2 ** 34); // of nothing: the file takes no room
    expect(await refusal(path)).toMatch(/metadata "a" is (given as|a text of)? ?\d+|limit/);
  }
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 2 ** 20);
});
