import type { CalibrationRecord } from "../calibration/calibration.js";
import type { Target } from "../methods/method.js";
import { targetName } from "../methods/target.js";
import type { EnvironmentRecord } from "./environment.js";
import type { ModelRecord } from "./model-record.js";

/** pare.json: how a compressed checkpoint was made, and everything needed to make it again. */
export interface CompressionRecord {
  readonly format: "pare.compression/1";
  readonly method: string;
  readonly methodOptions: unknown;
  /** Share of zeros asked for, or null for a pattern. */
  readonly sparsity: number | null;
  /** `n:m`, or null. */
  readonly pattern: string | null;
  readonly only: readonly string[];
  readonly skip: readonly string[];
  readonly calibration: CalibrationRecord | null;
  readonly base: ModelRecord;
  readonly environment: EnvironmentRecord;
  /** How sparse weights are stored, where not like all others. */
  readonly storage?: "sparse-bitmask";
  /** After how many finished layers it was gone on with, each time that it was stopped. */
  readonly resumedAt?: readonly number[];
  readonly result: { readonly sparsity: number; readonly sites: Readonly<Record<string, SiteResult>> };
}

export interface SiteResult {
  readonly zeros: number;
  readonly size: number;
  /** Calibration tokens that an expert saw, where it was calibrated. */
  readonly tokens?: number;
}

/** Share of zeros over all sites. */
export function totalSparsity(sites: Readonly<Record<string, SiteResult>>): number {
  let zeros = 0;
  let size = 0;
  for (const site of Object.values(sites)) {
    zeros += site.zeros;
    size += site.size;
  }
  return size === 0 ? 0 : zeros / size;
}

/** A target as pare.json has it. */
export function targetRecord(target: Target): Pick<CompressionRecord, "sparsity" | "pattern"> {
  return target.kind === "n:m"
    ? { sparsity: null, pattern: targetName(target) }
    : { sparsity: target.sparsity, pattern: null };
}

/** What a model card says from here on is replaced where figures are known (see model-index.ts). */
export const COSTS_HEADING = "## What it costs";

/** The checkpoint's README.md: a model card with the figures that are known when it is written. */
export function modelCard(record: CompressionRecord): string {
  const { method, calibration, result, base, environment } = record;
  const target = record.pattern ?? `${record.sparsity}`;
  const kinds = new Map<string, SiteResult>();
  for (const [name, site] of Object.entries(result.sites)) {
    const kind = name
      .split(".")
      .filter((part) => !/^\d+$/.test(part)) // layers, experts
      .slice(-2)
      .join(".");
    const sum = kinds.get(kind) ?? { zeros: 0, size: 0 };
    kinds.set(kind, { zeros: sum.zeros + site.zeros, size: sum.size + site.size });
  }
  const percent = ({ zeros, size }: SiteResult) => `${((100 * zeros) / size).toFixed(2)}%`;
  const rows = [...kinds].map(([kind, sum]) => `| ${kind} | ${sum.size} | ${percent(sum)} |`);
  const calibrated = calibration
    ? `Calibrated on ${calibration.windows} windows (${calibration.tokens} tokens) of ${calibration.source}${calibration.sampling ? `, seed ${calibration.sampling.seed}` : ""}.`
    : "No calibration data was used.";
  const stored =
    record.storage === "sparse-bitmask"
      ? `They are stored in compressed-tensors' \`sparse-bitmask\` format: the other numbers, and one bit a weight. \`pare\` reads it, and
makes it dense by \`pare compress THIS --method magnitude --sparsity 0 -o DENSE\`. Beware: \`transformers\` with compressed-tensors 0.15 or
later does not read it and fills these weights with random numbers.`
      : `They are stored like other numbers: the files are
no smaller for it, and only a runtime that makes use of zeros is faster.`;
  return `---
library_name: transformers
${base.hub ? `base_model: ${base.hub.name}\n` : ""}tags: [pare, pruned, ${method}]
---

# Pruned with ${method} to ${target}

Made with pare ${environment.pare} from ${base.hub ? `${base.hub.name} at commit ${base.hub.commit}` : "a base model"} whose SHA-256 (config.json and weights) is
\`${base.sha256}\`. ${calibrated}
\`pare.json\` holds everything needed to make it again.

Zeros are ${(100 * result.sparsity).toFixed(2)}% of the compressed weights. ${stored}

| weights | size | zeros |
|---|---|---|
${rows.join("\n")}

${COSTS_HEADING}

It is measured with \`pare evaluate THIS --base BASE\`.
`;
}
