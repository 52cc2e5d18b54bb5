import type { Measure } from "../analysis/analysis.js";
import type { Interval } from "../metrics/statistics/interval.js";

/** How the report's figures are written for people; page, terminal and Markdown alike. */

/** Three significant digits, a true minus sign, no exponent between 0.0001 and a million. */
export function short(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text =
    size < 1e-4 || size >= 1e6 ? value.toExponential(1) : size >= 100 ? value.toFixed(0) : value.toPrecision(3);
  return minus(text);
}

/** A share of 1 as a percentage. */
export function percent(share: number, digits = 1): string {
  return minus(`${(100 * share).toFixed(digits)}%`);
}

/** A measure's value in its own unit, without the unit's name: losses in percent, differences of scores with their sign. */
export function measured(unit: Measure["unit"], value: number): string {
  switch (unit) {
    case "share":
      return percent(value);
    case "score":
      return `${value > 0 ? "+" : ""}${minus(value.toFixed(3))}`;
    case "ratio":
      return value < 100 ? value.toFixed(3) : short(value);
    case "nats":
      return short(value);
  }
}

/** A 95% interval in a measure's unit. */
export function intervalText(unit: Measure["unit"], interval: Interval | null): string {
  return interval ? `${measured(unit, interval[0])} to ${measured(unit, interval[1])}` : "";
}

/** `50%`, or `2:4`. */
export function targetText(cell: { readonly target: number; readonly pattern: string | null }): string {
  return cell.pattern ?? `${Number((100 * cell.target).toFixed(2))}%`;
}

/** Control characters and those that turn the direction of text, which must not act on what stands around them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
export const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** A control character's name: `U+202E`. */
export function codePoint(character: string): string {
  return `U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

/** A name from a stranger's file on one line, its control characters written out. */
export function plain(text: string): string {
  return text.replace(/[\n\t]/g, " ").replace(CONTROL, codePoint);
}

function minus(text: string): string {
  return text.replace("-", "−");
}
