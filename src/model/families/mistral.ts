import { z } from "zod";
import { count, readConfig } from "../config.js";
import type { Family } from "../family.js";
import { llamaArchitecture, llamaSizes } from "./llama.js";

const mistralConfig = z.object({
  ...llamaSizes,
  num_key_value_heads: count.nullable().default(8),
  sliding_window: count.nullable().default(4096),
});

/** Mistral 7B (Jiang et al. 2023, arXiv 2310.06825): LLaMA's block with a sliding attention window and no biases. */
export const mistral: Family = {
  name: "mistral",
  modelTypes: ["mistral"],
  models: "Mistral 7B, Mistral Nemo, Mistral Small (text)",
  architecture(config, where) {
    const c = readConfig(mistralConfig, config, where);
    const windowOf = () => c.sliding_window ?? undefined;
    return llamaArchitecture("mistral", c, { bias: { qkv: false, out: false, feedForward: false }, windowOf }, where);
  },
};
