import type { Family } from "../family.js";
import { bloom } from "./bloom.js";
import { cohere } from "./cohere.js";
import { falcon } from "./falcon.js";
import { gemma } from "./gemma.js";
import { gemma2 } from "./gemma2.js";
import { gemma3 } from "./gemma3.js";
import { glm4 } from "./glm4.js";
import { gptNeox } from "./gpt_neox.js";
import { gpt2 } from "./gpt2.js";
import { granite } from "./granite.js";
import { llama } from "./llama.js";
import { mistral } from "./mistral.js";
import { mixtral } from "./mixtral.js";
import { nemotron } from "./nemotron.js";
import { olmo2 } from "./olmo2.js";
import { opt } from "./opt.js";
import { phi } from "./phi.js";
import { phi3 } from "./phi3.js";
import { qwen2 } from "./qwen2.js";
import { qwen3 } from "./qwen3.js";
import { qwen3Moe } from "./qwen3_moe.js";
import { smollm3 } from "./smollm3.js";
import { stablelm } from "./stablelm.js";
import { starcoder2 } from "./starcoder2.js";

/** Every family that pare knows, the best known first. */
export const families: readonly Family[] = [
  llama,
  mistral,
  qwen2,
  qwen3,
  gemma,
  gemma2,
  gemma3,
  phi,
  phi3,
  gpt2,
  gptNeox,
  opt,
  mixtral,
  qwen3Moe,
  olmo2,
  smollm3,
  granite,
  stablelm,
  cohere,
  starcoder2,
  falcon,
  bloom,
  nemotron,
  glm4,
];
