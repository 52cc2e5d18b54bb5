import { availableParallelism } from "node:os";
import { InputError } from "../../errors.js";
import { createTurns } from "../../turns.js";
import type { Engine } from "../engine.js";
import { createGraphEngine } from "../onnxruntime/onnxruntime.js";
import { openSession, versionOn } from "../onnxruntime/session.js";
import { openArena } from "./arena.js";
import { createLanes, isForLanes } from "./lanes.js";
import { type ElementType, openLibrary } from "./library.js";
import { openStages } from "./session.js";
import { openProducts } from "./widened.js";

/**
 * oneDNN for the matrix products, in float32 or bfloat16, and what lies between them in float32: by a kernel, or by onnxruntime. In
 * bfloat16 what linears read and their weights are rounded; sums, results and the hidden states stay float32.
 * Throws InputError where oneDNN is not there, or has no product made for this processor.
 */
export function createOneDnnEngine(
  options: { threads?: number; frugal?: boolean; precision?: ElementType } = {},
): Engine {
  const { precision = "float32", frugal = false } = options;
  const threads = options.threads ?? availableParallelism();
  const library = openLibrary();
  if (options.threads !== undefined && !library.setThreads) {
    throw new InputError(
      `--threads: oneDNN in ${library.path} is not built with OpenMP and chooses its threads itself`,
    );
  }
  const products = openProducts(library, precision, threads);
  const arena = openArena(products.operands);
  // They take memory, for which no limit provides.
  const lanes = frugal || !library.setThreads ? undefined : createLanes(precision, threads);
  // One run at a time: runs of a graph share what lies between its stages.
  const inTurn = createTurns();
  const engine = createGraphEngine({
    name: "onednn",
    precision,
    device: "cpu",
    threads,
    packedBytes: products.packedBytes,
    takesBfloat16: precision === "bfloat16",
    takesShared: true,
    version: `oneDNN ${library.version} (libdnnl), ${versionOn("cpu")}`,
    lanesOf: (program) => (lanes && isForLanes(program, products) ? lanes.count : 1),
    open: async (graph) => {
      const session = await openStages(graph, products, arena, (part) => openSession(part, { threads, frugal }));
      const runBeside = lanes?.open(graph);
      return {
        run: (feeds, fetches, lane) =>
          lane !== undefined && runBeside
            ? runBeside(lane, feeds, fetches ?? {})
            : inTurn(() => session.run(feeds, fetches)),
        release: () => session.release(),
      };
    },
  });
  return {
    ...engine,
    async dispose() {
      await engine.dispose();
      await lanes?.dispose();
      products.dispose();
    },
  };
}
