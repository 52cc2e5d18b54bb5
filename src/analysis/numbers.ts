import type { Interval } from "../metrics/statistics/interval.js";
import type { Measure, MeasureValue } from "./analysis.js";

/** A number in a sentence: three significant digits, without an exponent where that reads well. */
export function figure(value: number): string {
  const rounded = Number(value.toPrecision(3));
  return rounded !== 0 && Math.abs(rounded) < 1e-4 ? rounded.toExponential() : String(rounded);
}

export function percent(share: number): string {
  return `${figure(100 * share)}%`;
}

/** `0.0123 nats [0.011, 0.0136]`. */
export function withInterval({ unit }: Measure, { value, interval }: Pick<MeasureValue, "value" | "interval">): string {
  const write = unit === "share" ? percent : figure;
  return `${write(value)}${unit === "nats" ? " nats" : ""}${interval ? ` ${range(interval, write)}` : ""}`;
}

export function range([low, high]: Interval, write: (value: number) => string = figure): string {
  return `[${write(low)}, ${write(high)}]`;
}

/** `a, b and c`. */
export function listed(parts: readonly string[]): string {
  return parts.length < 2 ? parts.join("") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}

/** At most `most` of the parts, and how many are left out. */
export function few(parts: readonly string[], most: number): string {
  return parts.length <= most + 1 ? listed(parts) : listed([...parts.slice(0, most), `${parts.length - most} others`]);
}

export function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}
