import { InvalidArgumentError } from "commander";
import { InputError } from "../errors.js";
import type { EvaluateResult } from "../evaluate.js";
import { metricsOf } from "../task-evaluation/summary.js";
import { nearest } from "../text/nearest.js";
import { figure, percent } from "./format.js";

/** What a comparison must not exceed, for CI. */
export interface GateFlags {
  readonly maxJsd?: number;
  readonly maxPerplexityRatio?: number;
  /** `squad.f1` and the least score that passes. */
  readonly minScore?: readonly ScoreGate[];
}

export interface ScoreGate {
  readonly task: string;
  readonly metric: string;
  readonly limit: number;
}

interface Gate {
  readonly passed: boolean;
  readonly limit: number;
  readonly value: number | null;
}

/** Every gate by its name: `maxJsd`, `maxPerplexityRatio`, `squad.f1`. */
export interface Gates {
  readonly passed: boolean;
  readonly [name: string]: Gate | boolean;
}

/** Throws InputError for a gate that compares with what is not measured: before the work, not after it. */
export function checkGates(
  { maxJsd, maxPerplexityRatio, minScore = [] }: GateFlags,
  {
    base,
    data,
    task: tasks = [],
  }: { readonly base?: string; readonly data?: string; readonly task?: readonly string[] },
): void {
  const text =
    maxJsd !== undefined ? "--max-jsd" : maxPerplexityRatio !== undefined ? "--max-perplexity-ratio" : undefined;
  if (text && base === undefined) throw new InputError(`${text} compares with a base: add --base MODEL`);
  if (text && data === undefined) throw new InputError(`${text} is of text: add --data SOURCE`);
  if (minScore.length > 0 && tasks.length === 0) throw new InputError("--min-score is of a task: add --task NAME");
}

/** Throws InputError for a score that the tasks do not measure, as above. */
export function checkScoreGates(
  minScore: readonly ScoreGate[],
  tasks: readonly { readonly name: string; readonly metrics: readonly string[] }[],
): void {
  const measured = tasks.flatMap(({ name, metrics }) => metrics.map((metric) => `${name}.${metric}`));
  for (const { task, metric } of minScore) {
    const wanted = `${task}.${metric}`;
    if (measured.includes(wanted)) continue;
    const close = nearest(wanted, measured);
    throw new InputError(
      `--min-score ${wanted}: not measured${close ? ` (did you mean ${close}?)` : ""}; measured are ${measured.join(", ")}`,
    );
  }
}

/** Parses `squad.f1=0.5` and adds it to those before; commander's message names the option. */
export function scoreGate(text: string, before: readonly ScoreGate[] = []): ScoreGate[] {
  const match = /^([\w.-]+)\.(\w+)=(\S+)$/.exec(text);
  const limit = Number(match?.[3]);
  if (!match || !Number.isFinite(limit))
    throw new InvalidArgumentError("Give TASK.METRIC=SCORE, such as squad.f1=0.5.");
  return [...before, { task: match[1]!, metric: match[2]!, limit }];
}

/** Holds results against their gates; undefined where there are none. A figure that is not there passes no gate. */
export function judge(
  { maxJsd, maxPerplexityRatio, minScore = [] }: GateFlags,
  result: EvaluateResult,
): Gates | undefined {
  const gates: Record<string, Gate> = {};
  if (result.data && "jsd" in result) {
    // Positions without finite logits are in no mean: what is left must not pass for the whole.
    const atMost = (limit: number, value: number | null): Gate => ({
      passed: value !== null && value <= limit && result.nonFinite === 0,
      limit,
      value,
    });
    if (maxJsd !== undefined) gates["maxJsd"] = atMost(maxJsd, result.jsd.mean);
    if (maxPerplexityRatio !== undefined) {
      gates["maxPerplexityRatio"] = atMost(maxPerplexityRatio, result.perplexity.ratio);
    }
  }
  for (const { task, metric, limit } of minScore) {
    const summary = result.tasks?.[task];
    const value = (summary && metricsOf(summary).find(([name]) => name === metric)?.[1].compressed) ?? null;
    gates[`${task}.${metric}`] = { passed: value !== null && value >= limit, limit, value };
  }
  const all = Object.values(gates);
  return all.length === 0 ? undefined : { passed: all.every(({ passed }) => passed), ...gates };
}

const NAMES: Readonly<Record<string, string>> = {
  maxJsd: "mean JSD in nats",
  maxPerplexityRatio: "perplexity ratio",
};

/** The gates that were missed, in one line. */
export function missedGates({ passed: _, ...gates }: Gates, nonFinite: number | null): string {
  const missed = Object.entries(gates).flatMap(([name, gate]) =>
    typeof gate === "boolean" || gate.passed
      ? []
      : [`${NAMES[name] ?? name} is ${figure(gate.value)}, limit ${gate.limit}`],
  );
  if (nonFinite !== 0) missed.push(`${percent(nonFinite ?? 1)} of the positions have logits that are not finite`);
  return `gate missed: ${missed.join("; ")}`;
}
