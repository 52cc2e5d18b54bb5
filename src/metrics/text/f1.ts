import { answerWords } from "./normalise.js";
import { harmonicMean, overlap } from "./overlap.js";
import { best, type TextMetric } from "./text-metric.js";

/**
 * SQuAD v1.1's F1 over normalised words, the best reference's. Where both sides normalise to nothing it is 0, unlike in
 * SQuAD 2.0, although the exact match is 1.
 */
export const f1: TextMetric = {
  name: "f1",
  summary: "words that the answer shares with a reference: harmonic mean of precision and recall, best reference",
  source: "SQuAD v1.1 evaluation script, Rajpurkar et al. 2016, arXiv 1606.05250",
  unit: "share",
  binary: false,
  score(prediction, references) {
    const answer = answerWords(prediction);
    const score = (reference: string) => {
      const words = answerWords(reference);
      const common = overlap(answer, words);
      return common === 0 ? 0 : harmonicMean(common / answer.length, common / words.length);
    };
    return best(references, score, (value) => value);
  },
};
