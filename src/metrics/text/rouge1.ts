import { harmonicMean, overlap } from "./overlap.js";
import { porterStem } from "./porter.js";
import { best, type TextMetric } from "./text-metric.js";

interface RougeScore {
  readonly precision: number;
  readonly recall: number;
  readonly fmeasure: number;
}

/** Tokens of at most so many characters are not stemmed. */
const UNSTEMMED = 3;

/** Runs of a-z and 0-9 after lower case. Everything else separates: "é" splits a word, and CJK text has no tokens. */
function rougeTokens(text: string, stemmed: boolean): readonly string[] {
  const tokens = text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
  return stemmed ? tokens.map((token) => (token.length > UNSTEMMED ? porterStem(token) : token)) : tokens;
}

/**
 * ROUGE-1 against the reference with the highest F-measure, the first among equals; all three are 0 where either side has
 * no token. Source: Lin 2004; `RougeScorer(["rouge1"], use_stemmer).score_multi` of Google's rouge_score 0.1.2.
 */
function rouge1(prediction: string, references: readonly string[], stemmed: boolean): RougeScore {
  const answer = rougeTokens(prediction, stemmed);
  const score = (reference: string): RougeScore => {
    const tokens = rougeTokens(reference, stemmed);
    const common = overlap(answer, tokens);
    const precision = common / Math.max(answer.length, 1);
    const recall = common / Math.max(tokens.length, 1);
    return { precision, recall, fmeasure: harmonicMean(precision, recall) };
  };
  return best(references, score, ({ fmeasure }) => fmeasure);
}

const MEANINGS: Readonly<Record<keyof RougeScore, string>> = {
  fmeasure: "words shared with a reference: harmonic mean of precision and recall, best reference",
  precision: "share of the answer's words that are in the reference with the best F-measure",
  recall: "share of the words of the reference with the best F-measure that are in the answer",
};

function rougeMetric(name: string, part: keyof RougeScore, stemmed: boolean): TextMetric {
  return {
    name,
    summary: `${MEANINGS[part]}${stemmed ? ", after Porter's stemmer" : ""}`,
    source: `Lin 2004; rouge_score 0.1.2, rouge1 ${stemmed ? "with" : "without"} stemmer`,
    unit: "share",
    binary: false,
    score: (prediction, references) => rouge1(prediction, references, stemmed)[part],
  };
}

/** ROUGE-1's F-measure under its plain name, precision and recall, and the three after stemming. */
export const rouge1Metrics: readonly TextMetric[] = [
  rougeMetric("rouge1", "fmeasure", false),
  rougeMetric("rouge1_precision", "precision", false),
  rougeMetric("rouge1_recall", "recall", false),
  rougeMetric("rouge1_stemmed", "fmeasure", true),
  rougeMetric("rouge1_stemmed_precision", "precision", true),
  rougeMetric("rouge1_stemmed_recall", "recall", true),
];
