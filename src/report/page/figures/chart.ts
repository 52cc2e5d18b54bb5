import * as Plot from "@observablehq/plot";

/** What all figures have in common: colours by the page's variables, margins, and a plot without a style of its own. */

/** Eight colours that people with any colour vision tell apart, after Okabe and Ito; the variables stand in style.css. */
const SERIES = Array.from({ length: 8 }, (_, i) => `var(--series-${i + 1})`);
const SYMBOLS = ["circle", "square2", "triangle", "diamond", "star", "wye", "times", "asterisk"];

/** The colour of a name, by its place among all. */
export function seriesColour(names: readonly string[], name: string): string {
  return SERIES[Math.max(0, names.indexOf(name)) % SERIES.length]!;
}

/** The symbol of a name, by its place among all. */
export function seriesSymbol(names: readonly string[], name: string): string {
  return SYMBOLS[Math.max(0, names.indexOf(name)) % SYMBOLS.length]!;
}

/** Draws a plot. Its style is the page's: a policy that allows no other forbids the one that Plot puts inside. */
export function chart(options: Plot.PlotOptions): SVGSVGElement {
  const plot = Plot.plot({ figure: false, className: "plot", ...options }) as SVGSVGElement;
  for (const style of plot.querySelectorAll("style")) style.remove();
  // The figure as a whole is named for screen readers; names of its groups of marks say nothing.
  for (const group of plot.querySelectorAll("[aria-label]")) group.removeAttribute("aria-label");
  return plot;
}

/** A tick's number without needless digits. */
export function tickText(value: number): string {
  return String(Number(value.toPrecision(3)));
}

/** An axis of logarithms with a number at every tick: the scale's own would leave some without. */
export function logAxisY(ticks: readonly number[], label: string): Plot.Markish[] {
  return [Plot.gridY(ticks), Plot.axisY(ticks, { text: ticks.map(tickText), label, tickSize: 0 })];
}

/** Moves labels apart that would stand on each other: places in pixels, at least `gap` from one to the next, within the range. */
export function spread(places: readonly number[], gap: number, [top, bottom]: readonly [number, number]): number[] {
  const order = [...places.keys()].sort((a, b) => places[a]! - places[b]!);
  const moved = [...places];
  let least = top;
  for (const i of order) {
    moved[i] = Math.max(moved[i]!, least);
    least = moved[i]! + gap;
  }
  let most = bottom;
  for (const i of order.reverse()) {
    moved[i] = Math.min(moved[i]!, most);
    most = moved[i]! - gap;
  }
  return moved;
}

/** Round numbers around positive values, for an axis of logarithms. */
export function roundEnds(values: readonly number[]): [number, number] {
  const positive = values.filter((value) => value > 0);
  if (positive.length === 0) return [0.001, 1];
  return [lowerEnd(Math.min(...positive)), upperEnd(Math.max(...positive))];
}

/** 1, 2 and 5 times powers of ten within a domain, or only the powers where that is too many. */
export function decades([low, high]: readonly [number, number], most: number): number[] {
  const all: number[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const digit of [1, 2, 5]) all.push(Number(`${digit}e${power}`));
  }
  const inside = all.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  return inside.length <= most ? inside : inside.filter((value) => /^1/.test(value.toExponential()));
}

/** The nearest of 1, 2, 5 times a power of ten, below or above. */
function lowerEnd(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return [5, 2, 1].map((digit) => digit * power).find((end) => end <= value) ?? power;
}

function upperEnd(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((digit) => digit * power).find((end) => end >= value) ?? 10 * power;
}
