import { answerWords } from "./normalise.js";
import { best, type TextMetric } from "./text-metric.js";

/** SQuAD v1.1's exact match: 1 where the answer equals any reference after normalisation; nothing equals nothing. */
export const exactMatch: TextMetric = {
  name: "exact_match",
  summary: "the answer is one of the references, but for case, punctuation, articles and white space",
  source: "SQuAD v1.1 evaluation script, Rajpurkar et al. 2016, arXiv 1606.05250",
  unit: "share",
  binary: true,
  score(prediction, references) {
    const normalise = (text: string) => answerWords(text).join(" ");
    const answer = normalise(prediction);
    return best(
      references,
      (reference) => (normalise(reference) === answer ? 1 : 0),
      (score) => score,
    );
  },
};
