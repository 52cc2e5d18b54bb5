import type { Family } from "../family.js";
import { llama } from "./llama.js";
import { mistral } from "./mistral.js";

/** Every family that pare knows. */
export const families: readonly Family[] = [llama, mistral];
