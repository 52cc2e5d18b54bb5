import type { CellLabel } from "../results/study-results.js";
import type { StudyPlan } from "../study/estimate.js";
import type { StudyResult } from "../study/run.js";
import { table } from "../text/table.js";
import { bytes, count, duration, plural } from "./format.js";

/** How many cells a study has measured, and where. */
export function describeStudy({ record, cells, failed, computed, output }: StudyResult): string {
  const states = [
    `${count(cells.length)} of ${plural(record.cells.length, "cell")} measured`,
    `${count(computed.length)} of them now`,
    ...(failed.length > 0 ? [`${count(failed.length)} failed`] : []),
  ];
  return `${states.join(", ")}; results are in ${output}`;
}

/** What a study would do. */
export function describePlan({ cells, seconds, bytes: size, workBytes, basis, output }: StudyPlan): string {
  const rows = cells.map(({ id, label, state, seconds: own }) => [
    id,
    ...labelCells(label),
    state,
    state === "done" ? "" : duration(own),
  ]);
  const by =
    basis.kind === "cells"
      ? `times are estimated from ${plural(basis.cells, "finished cell")} of ${output}`
      : `times are estimated from the models' sizes and ${basis.gigaflops.toPrecision(3)} GFLOP/s in a matrix product: a factor of 3 either way is usual, and ten times as long for models of less than some million weights`;
  const left = cells.filter(({ state }) => state !== "done").length;
  return [
    table([["cell", ...LABELS, "state", "about"], ...rows], [0, ...LABELS.map((_, i) => i + 1), LABELS.length + 1]),
    `${plural(left, "cell")} to do of ${count(cells.length)}, about ${duration(seconds)}; ${by}.`,
    `${output} takes about ${bytes(size)}${workBytes > 0 ? `, and ${bytes(workBytes)} more while a cell is computed` : ""}.`,
  ].join("\n\n");
}

const LABELS = ["model", "method", "target", "calibration", "seed"] as const;

function labelCells({ model, method, methodOptions, sparsity, pattern, calibration, seed }: CellLabel): string[] {
  const options = Object.entries(methodOptions).map(([key, value]) => ` ${key}=${value}`);
  return [
    model,
    method + options.join(""),
    pattern ?? String(sparsity),
    calibration ?? "-",
    seed === null ? "-" : String(seed),
  ];
}
