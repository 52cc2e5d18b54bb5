import { best, type TextMetric } from "./text-metric.js";

/** lm-evaluation-harness's `exact_match` without ignore flags: 1 where the answer equals the first reference, character by character. */
export const exactMatchStrict: TextMetric = {
  name: "exact_match_strict",
  summary: "the answer is the first reference, character by character",
  source: "lm-evaluation-harness 0.4.13, exact_match without ignore flags",
  unit: "share",
  binary: true,
  score(prediction, references) {
    return best(
      references.slice(0, 1),
      (reference) => (reference === prediction ? 1 : 0),
      (score) => score,
    );
  },
};
