import { describe } from "../engine/describe.js";
import type { Engine } from "../engine/engine.js";
import type { Method } from "../methods/method.js";
import { batchWindows } from "../model/batches.js";
import type { Model } from "../model/model.js";
import { availableMemory } from "./available.js";
import { checkLimit, hiddenBytes, layerBytes, processBytes, runBytes, sum } from "./footprint.js";

/** Bytes that rounding, selecting and writing take for each weight of a site, beside the site itself. */
const SITE_BYTES = 16;
/** Of a Gram matrix's numbers: the float64 sum; the engine's float32 sums of some runs, which it keeps; and a copy of those. */
const GRAM_BYTES = 8;
const KEPT_BYTES = 4;
const COPY_BYTES = 4;

/**
 * Whether the calibration windows' hidden states have to lie on disk: with them in memory the process would take more than
 * the limit, or where none is given than there is. Throws InputError for a limit that is too low for a single layer.
 */
export async function mustSpill(
  model: Model,
  engine: Engine,
  method: Method,
  windows: readonly Int32Array[],
  limit: number | undefined,
): Promise<boolean> {
  const batches = batchWindows(windows);
  const executables = await Promise.all(model.layers.map(({ program }) => engine.compile(program)));
  const work = workBytes(model, engine, method, windows, Math.max(...executables.map(({ lanes }) => lanes)));
  const hidden = hiddenBytes(model, engine, batches);
  if (limit === undefined) return hidden + work > availableMemory();
  const needed = processBytes(work);
  checkLimit(limit, needed, `compress a layer of this model with ${method.name}`);
  return needed + hidden > limit;
}

/** The most that observing, compressing or running one layer holds, by so many runs side by side. */
function workBytes(
  model: Model,
  engine: Engine,
  method: Method,
  windows: readonly Int32Array[],
  lanes: number,
): number {
  const run = windows.length === 0 ? 0 : lanes * runBytes(model, engine, batchWindows(windows));
  const sites = model.layers.flatMap((layer) => layer.sites);
  const site = Math.max(...sites.map(({ out, in: columns }) => out * columns));
  let [statistics, copies, factors] = [0, 0, 0];
  if (method.needs === "gram") {
    for (const { program } of model.layers) {
      const sizes = describe(program).inputs.map(({ columns }) => columns ** 2);
      statistics = Math.max(statistics, (GRAM_BYTES + KEPT_BYTES) * sum(sizes));
      copies = Math.max(copies, COPY_BYTES * sum(sizes));
      // Every input's factor, the largest one's in the making, and the errors of the largest weight.
      factors = Math.max(factors, 8 * (sum(sizes) + Math.max(...sizes) + site));
    }
  }
  const observing = statistics + copies + run;
  const compressing = statistics + factors + SITE_BYTES * site;
  return layerBytes(model, engine, lanes) + Math.max(observing, compressing);
}
