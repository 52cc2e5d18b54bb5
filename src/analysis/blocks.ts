import type { CellResult } from "../results/study-results.js";
import type { BlockDamage } from "./analysis.js";

/** Each block's damage alone against the damage of all; undefined for a cell whose blocks were not measured. */
export function blockDamage({ id, blocks, text }: CellResult): BlockDamage | undefined {
  // Blocks are measured on the study's first text.
  const [source] = Object.keys(text);
  if (!blocks || source === undefined) return undefined;
  const sum = blocks.reduce((total, { jsd }) => total + (jsd.mean ?? 0), 0);
  const whole = text[source]!.jsd.mean;
  return {
    cell: id,
    source,
    blocks: blocks.map(({ layer, jsd }) => ({
      layer,
      ...jsd,
      share: ratio(jsd.mean, sum),
    })),
    sum,
    whole,
    explained: ratio(sum, whole),
    worst: blocks.toSorted((a, b) => (b.jsd.mean ?? 0) - (a.jsd.mean ?? 0)).map(({ layer }) => layer),
  };
}

/** What no divergence can be measured below, nats: the square of what float64 resolves of a probability. */
const NOTHING = Number.EPSILON ** 2;

/** Null where it is none: of 0, or of so little that nothing can be said of it. */
function ratio(part: number | null, whole: number | null): number | null {
  return part === null || whole === null || whole < NOTHING ? null : part / whole;
}
