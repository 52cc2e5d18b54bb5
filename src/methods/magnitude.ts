import { z } from "zod";
import { selectMagnitude } from "../tensor/select.js";
import type { Method } from "./method.js";
import { markGroups } from "./pattern.js";
import { zeroMarked } from "./rows.js";
import { checkTarget } from "./target.js";

const options = z.strictObject({});

/**
 * Magnitude pruning, Han et al. 2015, arXiv 1506.02626: the weights nearest to zero go, with one threshold for the whole
 * matrix [out, in]: the value at sorted index ⌊out·in·sparsity⌋ of |W| and all that do not exceed it become 0 (at least
 * one more than the sparsity asks for; more where magnitudes are equal). Sparsity 0 changes nothing. With n:m the n
 * smallest of every m consecutive inputs go, equals as markGroups has them.
 */
export const magnitude: Method<z.infer<typeof options>> = {
  name: "magnitude",
  summary: "smallest weights of every matrix; needs no calibration data",
  source: "Han et al. 2015, arXiv 1506.02626",
  version: 1,
  needs: "nothing",
  options,
  async compress(weight, _statistics, target) {
    checkTarget(target, weight.columns, "the weight");
    if (target.kind === "n:m") return zeroMarked(weight, undefined, (bits, mask) => markGroups(bits, target, mask));
    const data = weight.data.slice();
    if (target.sparsity > 0 && data.length > 0) {
      const threshold = selectMagnitude(data, Math.floor(data.length * target.sparsity));
      for (let i = 0; i < data.length; i++) if (Math.abs(data[i]!) <= threshold) data[i] = 0;
    }
    return { rows: weight.rows, columns: weight.columns, data };
  },
};
