import { expect, it } from "vitest";
import { parse } from "yaml";
import { defineStudy } from "../study/definition.js";
import { studySchema } from "../study/schema.js";
import { studyFileText } from "./definition.js";

const FILES = {
  short: { models: ["org/name"], methods: ["magnitude"], sparsities: [0.5] },
  whole: {
    name: "all-there-is",
    models: [{ path: "org/name@v1", name: "one" }],
    methods: ["wanda", { name: "sparsegpt", options: { blockSize: 64, damping: 0.1 } }],
    sparsities: [0.5],
    patterns: ["2:4"],
    calibration: ["c4", { source: "wikitext2", name: "w", samples: 8, sequence_length: 64, sampling: "reference" }],
    samples: 4,
    sequence_length: 128,
    seeds: [1, 2],
    only: ["mlp.*"],
    skip: ["model.layers.0"],
    data: [{ source: "wikitext2", windows: 3 }],
    tasks: ["squad", { task: "arc_easy", few_shot: 2 }],
    limit: 5,
    max_new_tokens: 7,
    chat: "off",
    system_prompt: "Be brief.",
    noise_floor: false,
    budget: { jsd: 0.01, perplexity_ratio: 1.1, task_loss: 0.05 },
    keep: "all",
    engine: "onnxruntime",
    precision: "float32",
    threads: 2,
  },
};

it.each(Object.entries(FILES))("of a study gives a file that means the same: %s", async (_, file) => {
  const definition = await defineStudy(studySchema.parse(file), "study", ".");
  const again = studySchema.parse(parse(studyFileText(definition)));
  expect(await defineStudy(again, "study", ".")).toEqual(definition);
});
