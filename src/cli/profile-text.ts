import type { Profile, StageProfile } from "../profile.js";
import { table } from "../text/table.js";
import { bytes, percent } from "./format.js";

/** A line a stage, and their sum. */
export function describeProfile({ limit, stages }: Profile): string {
  const sum = (of: (stage: StageProfile) => number) => stages.reduce((total, stage) => total + of(stage), 0);
  const seconds = sum((stage) => stage.seconds);
  const gigaflops = sum((stage) => stage.operations) / Math.max(seconds, 1e-9) / 1e9;
  const share = limit === null ? null : gigaflops / limit;
  const all = { stage: "all", seconds, gigaflops, share, bytes: sum((stage) => stage.bytes) };
  const rows = [...stages, all].map((row) => [
    row.stage,
    row.seconds.toFixed(row.seconds < 10 ? 2 : 1),
    row.gigaflops > 0 ? row.gigaflops.toPrecision(3) : "-",
    row.gigaflops > 0 && row.share !== null ? percent(row.share, 0) : "-",
    row.bytes > 0 ? bytes(row.bytes) : "-",
  ]);
  const header = ["stage", "seconds", "GFLOP/s", "of the limit", "moved"];
  if (limit === null) return `${table([header, ...rows])}\nWhat the machine can do could not be measured.`;
  return `${table([header, ...rows])}\nThe limit, ${limit.toPrecision(3)} GFLOP/s, is what large matrix products reached just now.`;
}
