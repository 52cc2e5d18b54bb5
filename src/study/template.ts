/** A study file to begin with; `schema` is where editors find the JSON schema. */
export function studyTemplate(schema: string): string {
  return `# yaml-language-server: $schema=${schema}
#
# A study: every base model, compressed by every method to every sparsity with every calibration source, and measured.
#   pare study FILE --dry-run    what it would do, about how long it takes
#   pare study FILE              does it; the same command goes on where it was stopped
# Files are named from where this file lies. What is commented out shows the default, or what else there is.

# Base models: folders with config.json and safetensors files, or org/name[@revision] of the Hugging Face hub.
models:
  - ./SmolLM2-135M-Instruct
  # - { path: ./models/Llama-2-7b-hf, name: llama-2-7b }

# How to compress: pare list methods.
methods:
  - magnitude
  - wanda
  - sparsegpt
  # - { name: sparsegpt, options: { damping: 0.1 } }

# How much of every weight matrix goes: shares of zeros, and n zeros in every m consecutive inputs.
sparsities: [0.2, 0.4, 0.5]
patterns: ["2:4"]
# only: ["mlp.*"]
# skip: [model.layers.0]

# Text that the methods look at: general text, or the task's own. A name from pare list data, or a file
# (.txt, .jsonl, .json, .parquet); built-in names are looked for in the folder that --data-dir or PARE_DATA names.
calibration:
  - c4
  # - { source: my-prompts.jsonl, name: task-text, samples: 128, sequence_length: 1024 }
samples: 128
# sequence_length: 2048
# Several seeds draw several samples: the spread between them shows how much the choice matters.
seeds: [0]

# Text to measure on: perplexity, and divergence from the base at every position.
data:
  - { source: wikitext2, windows: 16 }
  # - { source: my-prompts.jsonl, name: task-text }
# noise_floor: true    # also the base against itself under rounding noise: less than that means nothing
# per_token: true      # keep every position's figures (Parquet)
# sample: true         # keep some text with both models' likeliest next tokens
# blocks: false        # also each block's compressed weights alone in the base: which block does the damage; slow

# Tasks: pare list tasks, or your own in a .yaml file.
tasks:
  - arc_easy
  - { task: squad, limit: 100 }
limit: 200
# few_shot: 0
# chat: auto           # the model's chat template: auto, on, off

# What a compressed model may cost; the report names the best within it.
# budget: { jsd: 0.02, task_loss: 0.02 }

# Compressed checkpoints: none or all of them are kept.
keep: none
`;
}
