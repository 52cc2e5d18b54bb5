import { expect, it } from "vitest";
import type { Checkpoint } from "../checkpoint/checkpoint.js";
import { nearestFamily } from "./nearest-family.js";

const config = {
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  vocab_size: 8,
};
const llama = [
  ...["q", "k", "v", "o"].map((which) => `self_attn.${which}_proj`),
  ...["gate", "up", "down"].map((which) => `mlp.${which}_proj`),
  ...["input", "post_attention"].map((which) => `${which}_layernorm`),
];

function say(blockTensors: readonly string[], type = "unheard-of"): string {
  const names = blockTensors.map((name) => `model.layers.0.${name}.weight`);
  return nearestFamily({ config, tensors: new Map(names.map((name) => [name, {}])) } as unknown as Checkpoint, type);
}

it("names the family whose blocks have the same tensors", () => {
  expect(say(llama)).toMatch(/^; supported: llama, .*; it is most like llama, by its tensors' names$/);
  expect(say([...llama, "self_attn.q_norm", "self_attn.k_norm"])).toMatch(/most like qwen3, by its tensors' names$/);
});

it("says what the nearest one does not have, and what it has that is missing", () => {
  expect(say([...llama, "self_attn.sinks"])).toMatch(
    /most like llama, but its blocks have self_attn\.sinks\.weight in addition$/,
  );
  expect(say(llama.filter((name) => name !== "input_layernorm"))).toMatch(
    /most like llama, but its blocks have no input_layernorm\.weight$/,
  );
});

it("knows names that were meant", () => {
  expect(say(llama, "gemma22")).toMatch(/^ \(did you mean gemma2\?\); supported: /);
});

it("likens nothing that has nothing in common", () => {
  expect(say(["mixer.in_proj"])).toMatch(/glm4$/);
});
