import type { Graph } from "../onnxruntime/onnx.js";
import type { Session } from "../onnxruntime/session.js";
import type { Arena } from "./arena.js";
import { planOf } from "./plan.js";
import type { Products } from "./products.js";
import { cutIntoStages, type Stage } from "./stages.js";
import { COMPUTED, computeStep } from "./steps.js";
import { Values } from "./values.js";

/** A stage with the session of its graph. */
interface Open extends Stage {
  readonly session: Session | undefined;
}

/** A graph cut as these products can compute it. */
export function stagesOf(graph: Graph, products: Products): Stage[] {
  return cutIntoStages(graph, new Set(COMPUTED.filter((kind) => kind !== "attention" || products.softmax)));
}

/**
 * A graph whose products, and most of what lies between them, are computed here, and the rest by onnxruntime. Sessions that
 * share an arena must not run at once.
 */
export async function openStages(
  graph: Graph,
  products: Products,
  arena: Arena,
  open: (graph: Graph) => Promise<Session>,
): Promise<Session> {
  const stages: Open[] = [];
  for (const stage of stagesOf(graph, products)) {
    stages.push({ ...stage, session: stage.graph && (await open(stage.graph)) });
  }
  const plan = planOf(graph, stages);
  return {
    async run(feeds, fetches = {}) {
      const values = new Values(plan, products, arena, feeds, fetches);
      let done = 0;
      for (const { session, graph: part, steps } of stages) {
        if (session && part) {
          const made = await session.run(
            Object.fromEntries(part.inputs.map(({ name }) => [name, values.tensor(name)])),
            Object.fromEntries(part.outputs.map(({ name }) => [name, null])),
          );
          for (const { name } of part.outputs) values.keep(name, made[name]!);
        }
        for (const step of steps) {
          computeStep(step, values, products, arena);
          for (const name of plan.ends[done++]!) values.drop(name);
        }
      }
      return Object.fromEntries(graph.outputs.map(({ name }) => [name, values.output(name)]));
    },
    async release() {
      for (const { session } of stages) await session?.release();
    },
  };
}
