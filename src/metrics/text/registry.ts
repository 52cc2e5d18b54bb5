import { InputError } from "../../errors.js";
import { nearest } from "../../text/nearest.js";
import { exactMatch } from "./exact-match.js";
import { exactMatchStrict } from "./exact-match-strict.js";
import { f1 } from "./f1.js";
import { rouge1Metrics } from "./rouge1.js";
import type { TextMetric } from "./text-metric.js";

/** Every metric of a generated answer; a new one is a file beside this and a line here. */
export const textMetrics: readonly TextMetric[] = [exactMatch, exactMatchStrict, f1, ...rouge1Metrics];

/** The text metric of that name. Throws InputError for an unknown one. */
export function textMetric(name: string): TextMetric {
  const metric = textMetrics.find((candidate) => candidate.name === name);
  if (metric) return metric;
  const names = textMetrics.map((candidate) => candidate.name);
  const close = nearest(name, names);
  throw new InputError(
    `metric ${name}: there is no such metric of generated text${close ? ` (did you mean ${close}?)` : ""}; there are: ${names.join(", ")}`,
  );
}
