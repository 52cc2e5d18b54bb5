import { count, readConfig } from "../config.js";
import type { Family } from "../family.js";
import { llamaArchitecture, llamaConfig, llamaSizes } from "./llama.js";

const DEFAULT_WINDOW = 4096; // MistralConfig's, where the key is left out

const mistralConfig = llamaConfig
  .omit({ attention_bias: true, mlp_bias: true })
  .extend({ sliding_window: count.nullable().default(DEFAULT_WINDOW) });

/** Mistral 7B (Jiang et al. 2023, arXiv 2310.06825): LLaMA's block with a sliding attention window and no biases. */
export const mistral: Family = {
  name: "mistral",
  modelTypes: ["mistral"],
  architecture(config, where) {
    const { sliding_window: window, ...c } = readConfig(mistralConfig, config, where);
    const sizes = llamaSizes({ ...c, attention_bias: false, mlp_bias: false }, where);
    return llamaArchitecture(window ? { ...sizes, attention: { ...sizes.attention, window } } : sizes);
  },
};
