import type { DivergenceSummary } from "./summary.js";

/** What `pare list metrics` says of a measure. */
export interface MeasureDescription {
  readonly summary: string;
  /** Of the figure: nats, probability, share (0 to 1), or none. */
  readonly unit: "nats" | "probability" | "share" | "none";
  /** Which way round the two models are compared. */
  readonly direction: string;
  readonly source: string;
}

/** Every measure of base against compressed, under its key in the results. A new one is a key in DivergenceSummary and a line here. */
export const measures = {
  perplexity: {
    summary: "exp of the mean loss of the true next token, and the ratio of both models' perplexities",
    unit: "none",
    direction: "ratio compressed / base",
    source: "Jelinek et al. 1977; windows one after the other, as in the Wanda and SparseGPT papers, but without BOS",
  },
  loss: {
    summary: "mean negative log-probability of the true next token, and the paired difference",
    unit: "nats",
    direction: "difference compressed - base",
    source: "cross-entropy; Shannon 1948",
  },
  jsd: {
    summary: "Jensen-Shannon divergence of the next-token distributions, 0 to ln 2",
    unit: "nats",
    direction: "symmetric: KL(base‖M)/2 + KL(compressed‖M)/2, M their mean",
    source: "Lin 1991",
  },
  kl: {
    summary: "Kullback-Leibler divergence: what is lost where the base puts its probability",
    unit: "nats",
    direction: "KL(base‖compressed)",
    source: "Kullback and Leibler 1951; llama-perplexity --kl-divergence",
  },
  klReverse: {
    summary: "Kullback-Leibler divergence: what the compressed model likes and the base does not",
    unit: "nats",
    direction: "KL(compressed‖base)",
    source: "Kullback and Leibler 1951",
  },
  sameTop1: {
    summary: "share of positions where both models find the same token likeliest",
    unit: "share",
    direction: "symmetric",
    source: "llama-perplexity --kl-divergence (same top p)",
  },
  top5Overlap: {
    summary: "share of the five likeliest tokens that both models have in common",
    unit: "share",
    direction: "symmetric",
    source: "set intersection of the top 5, ties by the smaller token id",
  },
  deltaP: {
    summary: "change of the true next token's probability: mean and root mean square",
    unit: "probability",
    direction: "compressed - base",
    source: "llama-perplexity --kl-divergence (Δp)",
  },
  totalVariation: {
    summary: "total variation distance of the next-token distributions, 0 to 1",
    unit: "probability",
    direction: "symmetric",
    source: "half the sum of |p - q|",
  },
  acceptance: {
    summary:
      "expected acceptance rate of speculative decoding with one model drafting for the other: 1 - total variation",
    unit: "probability",
    direction: "symmetric",
    source: "Leviathan et al. 2023, arXiv 2211.17192, corollary 3.6",
  },
  lnPerplexityCorrelation: {
    summary: "Pearson correlation of both models' losses over positions",
    unit: "none",
    direction: "symmetric",
    source: "llama-perplexity --kl-divergence (Cor(ln(PPL(Q)), ln(PPL(base))))",
  },
  byConfidence: {
    summary: "divergences and same-top-1 by the base's largest probability, in bins at 0, .25, .5, .75, .95, 1",
    unit: "nats",
    direction: "as jsd, kl and sameTop1; bins by the base",
    source: "conditional means of jsd, kl and sameTop1",
  },
  nonFinite: {
    summary: "share of positions with a NaN or infinite logit in either model, left out of every other figure",
    unit: "share",
    direction: "symmetric",
    source: "count of positions",
  },
} as const satisfies Record<Exclude<keyof DivergenceSummary, "positions">, MeasureDescription>;
