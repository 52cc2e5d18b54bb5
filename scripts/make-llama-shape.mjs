// Writes a checkpoint of LLaMA-2-7B's shape with random weights, to measure time, memory and disk by: 13 GB in shards of 5 GB,
// or less with the options below. The figures of such a model mean nothing.
//
//   node scripts/make-llama-shape.mjs /data/llama-shape
//   node scripts/make-llama-shape.mjs /data/small --layers 4 --hidden 1024 --intermediate 2816 --heads 16 --vocabulary 8000
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";

const NUMBERS = {
  layers: 32,
  hidden: 4096,
  intermediate: 11008,
  heads: 32,
  vocabulary: 32000,
  /** Bytes of a shard's tensors, at most. */
  shard: 5e9,
  seed: 0,
  /** Windows of random token ids in windows.json, and their length. */
  windows: 128,
  tokens: 2048,
};
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: Object.fromEntries(Object.keys(NUMBERS).map((name) => [name, { type: "string" }])),
});
const [folder] = positionals;
if (folder === undefined) throw new Error("usage: make-llama-shape.mjs FOLDER [--layers n] [--hidden n] ...");
const n = Object.fromEntries(Object.entries(NUMBERS).map(([name, value]) => [name, Number(values[name] ?? value)]));
await mkdir(folder, { recursive: true });
if ((await readdir(folder)).length > 0) throw new Error(`${folder} is not empty`);

/** Marsaglia's xorshift: 32 random bits at a time. */
let state = (n.seed ^ 0x9e3779b9) | 1;
function random() {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return state >>> 0;
}

const bits = new Uint32Array(1);
const float = new Float32Array(bits.buffer);
function bfloat16(value) {
  float[0] = value;
  return (bits[0] + 0x7fff + ((bits[0] >>> 16) & 1)) >>> 16;
}
/** 2¹⁶ draws from a normal distribution of deviation 0.02, as LLaMA's initializer_range says, to draw from. */
const DRAWS = Uint16Array.from({ length: 2 ** 16 }, () => {
  const radius = Math.sqrt(-2 * Math.log((random() + 1) / 2 ** 32));
  return bfloat16(0.02 * radius * Math.cos((2 * Math.PI * random()) / 2 ** 32));
});

function tensors() {
  const all = [{ name: "model.embed_tokens.weight", shape: [n.vocabulary, n.hidden] }];
  for (let layer = 0; layer < n.layers; layer++) {
    const add = (name, ...shape) => all.push({ name: `model.layers.${layer}.${name}.weight`, shape });
    add("input_layernorm", n.hidden);
    for (const name of ["q_proj", "k_proj", "v_proj", "o_proj"]) add(`self_attn.${name}`, n.hidden, n.hidden);
    add("post_attention_layernorm", n.hidden);
    for (const name of ["gate_proj", "up_proj"]) add(`mlp.${name}`, n.intermediate, n.hidden);
    add("mlp.down_proj", n.hidden, n.intermediate);
  }
  all.push(
    { name: "model.norm.weight", shape: [n.hidden] },
    { name: "lm_head.weight", shape: [n.vocabulary, n.hidden] },
  );
  return all.map((tensor) => ({ ...tensor, size: tensor.shape.reduce((product, size) => product * size, 1) }));
}

const shards = [];
let bytes = Number.POSITIVE_INFINITY;
for (const tensor of tensors()) {
  if (bytes + 2 * tensor.size > n.shard) {
    shards.push([]);
    bytes = 0;
  }
  shards.at(-1).push(tensor);
  bytes += 2 * tensor.size;
}

const CHUNK = 2 ** 20;
async function writeTensor(stream, { shape, size }) {
  for (let begin = 0; begin < size; begin += CHUNK) {
    const chunk = new Uint16Array(Math.min(CHUNK, size - begin));
    if (shape.length === 1) chunk.fill(bfloat16(1));
    else {
      for (let i = 0; i < chunk.length; i += 2) {
        const draw = random();
        chunk[i] = DRAWS[draw & 0xffff];
        chunk[i + 1] = DRAWS[draw >>> 16];
      }
    }
    if (!stream.write(new Uint8Array(chunk.buffer))) await once(stream, "drain");
  }
}

const weightMap = {};
const digits = (value) => String(value).padStart(5, "0");
for (const [i, shard] of shards.entries()) {
  const isOne = shards.length === 1;
  const file = isOne ? "model.safetensors" : `model-${digits(i + 1)}-of-${digits(shards.length)}.safetensors`;
  const header = { __metadata__: { format: "pt" } };
  let offset = 0;
  for (const { name, shape, size } of shard) {
    header[name] = { dtype: "BF16", shape, data_offsets: [offset, offset + 2 * size] };
    offset += 2 * size;
    weightMap[name] = file;
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, " ")]);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(padded.length));
  const stream = createWriteStream(join(folder, file));
  stream.write(prefix);
  stream.write(padded);
  for (const tensor of shard) await writeTensor(stream, tensor);
  stream.end();
  await once(stream, "finish");
  console.log(`${file}: ${(offset / 1e9).toFixed(2)} GB`);
}
const json = (value) => `${JSON.stringify(value, null, 2)}\n`;
if (shards.length > 1) {
  const size = tensors().reduce((sum, tensor) => sum + 2 * tensor.size, 0);
  const index = { metadata: { total_size: size }, weight_map: weightMap };
  await writeFile(join(folder, "model.safetensors.index.json"), json(index));
}
const config = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  bos_token_id: 1,
  eos_token_id: 2,
  hidden_act: "silu",
  hidden_size: n.hidden,
  initializer_range: 0.02,
  intermediate_size: n.intermediate,
  max_position_embeddings: 4096,
  num_attention_heads: n.heads,
  num_hidden_layers: n.layers,
  num_key_value_heads: n.heads,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: false,
  torch_dtype: "bfloat16",
  vocab_size: n.vocabulary,
};
await writeFile(join(folder, "config.json"), json(config));
const windows = Array.from({ length: n.windows }, () =>
  Array.from({ length: n.tokens }, () => random() % n.vocabulary),
);
await writeFile(join(folder, "windows.json"), JSON.stringify({ windows }));
