import { strip } from "../text/python-text.js";

/** How the answer is taken out of what a model wrote; the white space around it never counts. */
export const ANSWERS = ["whole", "first-line", "first-word", "last-number", "marked-number"] as const;
export type Answer = (typeof ANSWERS)[number];

/** What lm-evaluation-harness takes for an answer where it finds no number. */
const NO_NUMBER = "[invalid]";

/**
 * The answer in a generated text. `last-number` and `marked-number` (GSM8K's `#### 18`) are the filters flexible-extract and
 * strict-match of lm-evaluation-harness's gsm8k, without the `$`, the commas and the last full stop that its exact_match
 * ignores there.
 */
export function extractAnswer(generated: string, answer: Answer): string {
  const text = strip(generated, "both");
  switch (answer) {
    case "whole":
      return text;
    case "first-line":
      return strip(text.split("\n", 1)[0] ?? "", "both");
    case "first-word":
      return text.split(/\s/, 1)[0] ?? "";
    case "last-number":
      return bare(text.match(/-?[$0-9.,]{2,}|-?[0-9]+/g)?.at(-1));
    case "marked-number":
      return bare(/#### (-?[0-9.,]+)/.exec(text)?.[1]);
  }
}

const bare = (number: string | undefined): string => number?.replace(/[,$]/g, "").replace(/\.$/, "") ?? NO_NUMBER;
