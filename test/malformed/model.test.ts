import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open.js";
import { InputError } from "../../src/errors.js";
import { openModel } from "../../src/model/model.js";
import { temporaryFolder } from "./safetensors.js";

/** A copy of the carried model with some keys of its config replaced (undefined: left out). */
async function modelWith(changes: Record<string, unknown>): Promise<string> {
  const folder = join(await temporaryFolder(), "model");
  cpSync("assets/models/stories260K", folder, { recursive: true });
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, ...changes }));
  return folder;
}

async function open(folder: string) {
  const checkpoint = await openCheckpoint(folder);
  try {
    return openModel(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

describe("a config that cannot be followed", () => {
  it.each([
    [{ model_type: undefined }, /config\.json: model_type is missing/],
    [{ model_type: "lama" }, /model_type "lama" is not supported \(did you mean llama\?\); supported: llama, mistral/],
    [
      { model_type: "whisper" },
      /model_type "whisper" is not supported; supported.*most like llama, by its tensors' names$/,
    ],
    [{ hidden_size: undefined }, /config\.json: hidden_size/],
    [{ hidden_size: "64" }, /config\.json: hidden_size/],
    [{ num_hidden_layers: 0 }, /config\.json: num_hidden_layers/],
    [{ num_hidden_layers: 1e30 }, /config\.json: num_hidden_layers/],
    [{ num_attention_heads: 2.5 }, /config\.json: num_attention_heads/],
    [{ num_attention_heads: 6 }, /num_attention_heads 6 is no multiple of num_key_value_heads 4/],
    [{ num_attention_heads: 12, num_key_value_heads: 12 }, /hidden_size 64 is no multiple of num_attention_heads 12/],
    [{ head_dim: 7 }, /even head_dim, not 7/],
    [{ hidden_act: "gelu" }, /hidden_act: only silu is supported/],
    [{ rope_scaling: { type: "ntk", factor: 2 } }, /rope type "ntk" is not supported/],
    [{ rope_scaling: { rope_type: "llama3", factor: 8 } }, /rope_scaling: low_freq_factor/],
    [{ rope_parameters: { rope_type: "default", partial_rotary_factor: 0.5 } }, /partial_rotary_factor/],
  ])("%j", async (changes, message) => {
    const folder = await modelWith(changes);
    await expect(open(folder)).rejects.toThrow(InputError);
    await expect(open(folder)).rejects.toThrow(message);
  });
});

describe("tensors that do not fit the config", () => {
  it.each([
    [{ num_hidden_layers: 6 }, /tensor model\.layers\.5\.input_layernorm\.weight is missing/],
    [{ vocab_size: 1000 }, /tensor model\.embed_tokens\.weight is \[512,64\], but config\.json asks for \[1000,64\]/],
    [{ intermediate_size: 170 }, /tensor model\.layers\.0\.mlp\.gate_proj\.weight is \[172,64\].*\[170,64\]/],
    [{ attention_bias: true }, /tensor model\.layers\.0\.self_attn\.q_proj\.bias is missing/],
    [
      { attention_bias: true, quantization_config: { quant_method: "gptq" } },
      /is quantized by "gptq", which pare does not/,
    ],
    [{ tie_word_embeddings: false }, /tensor lm_head\.weight is missing/],
  ])("%j", async (changes, message) => {
    await expect(open(await modelWith(changes))).rejects.toThrow(message);
  });
});

describe("old and new spellings of a config", () => {
  it("mean the same", async () => {
    const scaling = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 };
    const old = await open(await modelWith({ rope_theta: 5000, rope_scaling: { type: "llama3", ...scaling } }));
    const parameters = { rope_theta: 5000, rope_type: "llama3", ...scaling };
    const current = await open(
      await modelWith({ rope_theta: undefined, rope_parameters: parameters, dtype: "float32" }),
    );
    const plain = await open(await modelWith({}));
    expect(current.layers[0]!.program.key).toBe(old.layers[0]!.program.key);
    expect(plain.layers[0]!.program.key).not.toBe(old.layers[0]!.program.key);
  });
});
