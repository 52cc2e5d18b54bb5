import type { ChoiceScores } from "./choice.js";

/** What `pare list metrics` says of a metric of log-likelihoods. Every score is 0 or 1, and 1 is right. */
interface LikelihoodMetric {
  readonly name: string;
  readonly summary: string;
  readonly source: string;
  readonly unit: "share";
  readonly binary: true;
}

/** A metric of multiple-choice items. */
export interface ChoiceMetric extends LikelihoodMetric {
  score(scores: ChoiceScores): 0 | 1;
}

/** Every metric of multiple-choice items. */
export const choiceMetrics: readonly ChoiceMetric[] = [
  {
    name: "acc",
    summary: "the choice with the highest log-likelihood is right",
    source: "lm-evaluation-harness 0.4.13, multiple_choice acc",
    unit: "share",
    binary: true,
    score: ({ acc }) => acc,
  },
  {
    name: "acc_norm",
    summary: "the choice with the highest log-likelihood per character is right",
    source: "lm-evaluation-harness 0.4.13, multiple_choice acc_norm",
    unit: "share",
    binary: true,
    score: ({ accNorm }) => accNorm,
  },
  {
    name: "acc_bytes",
    summary: "the choice with the highest log-likelihood per UTF-8 byte is right",
    source: "lm-evaluation-harness 0.4.13, multiple_choice acc_bytes",
    unit: "share",
    binary: true,
    score: ({ accBytes }) => accBytes,
  },
];

/** Every metric of a passage's last word. */
export const lastWordMetrics: readonly LikelihoodMetric[] = [
  {
    name: "acc",
    summary: "every token of the passage's last word is the likeliest after what is before it",
    source: "lm-evaluation-harness 0.4.13, lambada_openai acc; Paperno et al. 2016, arXiv 1606.06031",
    unit: "share",
    binary: true,
  },
];
