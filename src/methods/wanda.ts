import { z } from "zod";
import { InputError, RunError } from "../errors.js";
import { zeroLowest } from "./lowest.js";
import type { Method, Statistics } from "./method.js";
import { markGroups } from "./pattern.js";
import { zeroMarked } from "./rows.js";
import { checkTarget } from "./target.js";

const options = z.strictObject({});

/**
 * Wanda, Sun et al. 2023, arXiv 2306.11695: score |W_ij|·‖x_j‖₂, where ‖x_j‖₂² is the mean over windows of the sum over
 * tokens of x_j²; the ⌊in·sparsity⌋ lowest of every output row go, the smaller index first among equals. With n:m the n
 * lowest of every m consecutive inputs, equals as markGroups has them. Rounded to float32 where the authors' PyTorch
 * code is, so that masks agree.
 */
export const wanda: Method<z.infer<typeof options>> = {
  name: "wanda",
  summary: "smallest |weight| times norm of its input, row by row",
  source: "Sun et al. 2023, arXiv 2306.11695",
  version: 1,
  needs: "squaredNorms",
  options,
  async compress(weight, statistics, target) {
    checkTarget(target, weight.columns, "the weight");
    const norms = inputNorms(statistics, weight.columns);
    if (target.kind === "n:m") return zeroMarked(weight, norms, (bits, mask) => markGroups(bits, target, mask));
    return zeroLowest(weight, norms, Math.floor(weight.columns * target.sparsity));
  },
};

/** ‖x_j‖₂ of every input, float32 [in]. */
function inputNorms({ squaredNorms, windows }: Statistics, inputs: number): Float32Array {
  if (squaredNorms?.length !== inputs || !(windows > 0)) {
    throw new InputError(
      `wanda needs the squared norms of the weight's ${inputs} inputs over at least one window, and was given ` +
        `${squaredNorms ? `${squaredNorms.length} norms` : "none"} over ${windows} windows: calibrate first`,
    );
  }
  const norms = new Float32Array(inputs);
  for (let j = 0; j < inputs; j++) {
    const norm = Math.sqrt(Math.fround(squaredNorms[j]! / windows));
    if (!Number.isFinite(norm))
      throw new RunError(`the calibration inputs overflow at input ${j}: no score can be made`);
    norms[j] = norm;
  }
  return norms;
}
