import type { EvaluateResult } from "../evaluate.js";
import { table } from "../text/table.js";
import { count, duration, figure, percent, plural, plusMinus } from "./format.js";
import { describeProfile } from "./profile-text.js";
import { describeTasks } from "./tasks-text.js";

type WithText = Extract<EvaluateResult, { readonly perplexity: unknown }>;
type Comparison = Extract<WithText, { readonly jsd: unknown }>;
type Divergence = Comparison["jsd"];
type Share = Comparison["sameTop1"];

/** An evaluation's figures with their standard errors, and what they were measured on. */
export function describeEvaluation(result: EvaluateResult): string {
  const parts = [measuredOn(result)];
  if (result.data) {
    parts.push("jsd" in result ? comparison(result) : alone(result));
    if (result.nonFinite !== 0) {
      parts.push(
        `${percent(result.nonFinite ?? 1)} of the positions have logits that are not finite; they are in no figure.`,
      );
    }
    parts.push("± is a standard error clustered by window.");
  }
  if (result.tasks) parts.push(describeTasks(result.tasks, result.taskRecords ?? {}));
  if (result.profile) parts.push(describeProfile(result.profile));
  return parts.join("\n\n");
}

function measuredOn(result: EvaluateResult): string {
  const { model, base, environment, seconds } = result;
  const facts = [["model", model.path]];
  if (base) facts.push(["base", base.path]);
  if (result.data) {
    const { source, windows, sequenceLength } = result.data;
    const positions = plural(result.positions, "position");
    facts.push(["measured on", `${source}: ${plural(windows, "window")} x ${sequenceLength} tokens, ${positions}`]);
  }
  const time = duration(Object.values(seconds).reduce((sum, stage) => sum + stage, 0));
  facts.push(["computed by", `${environment.engine} in ${environment.precision}, ${time}`]);
  return table(facts, [0, 1]);
}

function alone({ perplexity, loss }: Exclude<WithText, Comparison>): string {
  return table([
    ["perplexity", plusMinus(perplexity.compressed, perplexity.compressedStandardError)],
    ["loss (nats)", plusMinus(loss.compressed, loss.compressedStandardError)],
  ]);
}

function comparison(result: Comparison): string {
  const { perplexity: p, loss: l } = result;
  const both = table([
    ["", "base", "compressed", "compressed against base"],
    [
      "perplexity",
      plusMinus(p.base, p.baseStandardError),
      plusMinus(p.compressed, p.compressedStandardError),
      `ratio ${plusMinus(p.ratio, p.ratioStandardError)}`,
    ],
    [
      "loss (nats)",
      plusMinus(l.base, l.baseStandardError),
      plusMinus(l.compressed, l.compressedStandardError),
      `difference ${plusMinus(l.difference, l.differenceStandardError)}`,
    ],
  ]);
  const quantiles = (name: string, q: Divergence) => [
    name,
    plusMinus(q.mean, q.standardError),
    ...[q.median, q.p90, q.p99, q.max, q.meanBits].map(figure),
  ];
  const divergences = [
    ["divergence (nats)", "mean", "median", "90%", "99%", "max", "mean, bits"],
    quantiles("JSD", result.jsd),
    quantiles("KL(base‖compressed)", result.kl),
    quantiles("KL(compressed‖base)", result.klReverse),
  ];
  if (result.noiseFloor) {
    divergences.push(
      quantiles("noise floor: JSD", result.noiseFloor.jsd),
      quantiles("noise floor: KL", result.noiseFloor.kl),
    );
  }
  const agreement = table([
    ["same top-1", shareOf(result.sameTop1)],
    ["top-5 overlap", shareOf(result.top5Overlap)],
    ["acceptance (1 - total variation)", shareOf(result.acceptance)],
    [
      "Δp of the true token",
      `${shareOf(result.deltaP)}`,
      `rms ${result.deltaP.rms === null ? "-" : percent(result.deltaP.rms)}`,
    ],
    ["correlation of ln perplexities", figure(result.lnPerplexityCorrelation)],
  ]);
  const bins = table([
    ["base's confidence", "positions", "JSD", "KL(base‖compressed)", "same top-1"],
    ...result.byConfidence.map((bin) => [
      `${bin.from} to ${bin.to}`,
      count(bin.positions),
      figure(bin.jsd),
      figure(bin.kl),
      bin.sameTop1 === null ? "-" : percent(bin.sameTop1),
    ]),
  ]);
  return [both, table(divergences), agreement, bins].join("\n\n");
}

function shareOf({ mean, standardError }: Share): string {
  const scaled = (share: number | null) => (share === null ? null : 100 * share);
  return mean === null ? "-" : `${plusMinus(scaled(mean), scaled(standardError))}%`;
}
