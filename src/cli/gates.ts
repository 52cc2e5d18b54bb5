import { InputError } from "../errors.js";
import type { EvaluateResult } from "../evaluate.js";
import { figure, percent } from "./format.js";

/** What a comparison must not exceed, for CI. */
export interface GateFlags {
  readonly maxJsd?: number;
  readonly maxPerplexityRatio?: number;
}

interface Gate {
  readonly passed: boolean;
  readonly limit: number;
  readonly value: number | null;
}

export type Gates = { readonly passed: boolean } & { readonly [name in keyof GateFlags]?: Gate };

/** Throws InputError for a gate without the base that it compares with: before the work, not after it. */
export function checkGates({ maxJsd, maxPerplexityRatio }: GateFlags, base: string | undefined): void {
  if (base !== undefined || (maxJsd === undefined && maxPerplexityRatio === undefined)) return;
  throw new InputError(
    `${maxJsd === undefined ? "--max-perplexity-ratio" : "--max-jsd"} compares with a base: add --base MODEL`,
  );
}

/** Holds a comparison against its gates; undefined where there are none. A figure that is not there passes no gate. */
export function judge({ maxJsd, maxPerplexityRatio }: GateFlags, result: EvaluateResult): Gates | undefined {
  if (!("jsd" in result)) return undefined;
  const gate = (limit: number, value: number | null): Gate => ({
    // Positions without finite logits are in no mean: what is left must not pass for the whole.
    passed: value !== null && value <= limit && result.nonFinite === 0,
    limit,
    value,
  });
  const gates = {
    ...(maxJsd === undefined ? {} : { maxJsd: gate(maxJsd, result.jsd.mean) }),
    ...(maxPerplexityRatio === undefined
      ? {}
      : { maxPerplexityRatio: gate(maxPerplexityRatio, result.perplexity.ratio) }),
  };
  const all = Object.values(gates);
  return all.length === 0 ? undefined : { passed: all.every(({ passed }) => passed), ...gates };
}

/** The gates that were missed, in one line. */
export function missedGates({ maxJsd, maxPerplexityRatio }: Gates, nonFinite: number | null): string {
  const missed: string[] = [];
  const add = (gate: Gate | undefined, what: string, option: string) => {
    if (gate && !gate.passed) missed.push(`${what} is ${figure(gate.value)}, ${option} ${gate.limit}`);
  };
  add(maxJsd, "mean JSD in nats", "--max-jsd");
  add(maxPerplexityRatio, "perplexity ratio", "--max-perplexity-ratio");
  if (nonFinite !== 0) missed.push(`${percent(nonFinite ?? 1)} of the positions have logits that are not finite`);
  return `gate missed: ${missed.join("; ")}`;
}
