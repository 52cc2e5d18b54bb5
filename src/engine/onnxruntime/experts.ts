import type { Builder, Routing } from "../operations.js";
import type { Nodes } from "./nodes.js";

/**
 * Mixtures of experts: the rows that go to an expert are picked out, so that it computes no others. Every expert's
 * weights are inputs of the graph; one that no row goes to computes products of no rows.
 */
export function expertNodes(g: Nodes): Pick<Builder<string>, "route" | "gather" | "scatter"> {
  const { node, several, integers } = g;
  const picked = new Map<string, { share: string; at: string }>();
  /** An expert's column of the shares, [rows, 1], and which of them are not 0, [fewer, 1]. */
  const pick = (routes: string, expert: number) => {
    const key = `${routes} ${expert}`;
    let found = picked.get(key);
    if (!found) {
      const share = node("Gather", [routes, integers(expert)], { axis: 1 });
      const at = node("NonZero", [node("Reshape", [share, integers(-1)])]); // [1, fewer]
      found = { share, at: node("Transpose", [at]) };
      picked.set(key, found);
    }
    return found;
  };
  return {
    route(logits, { chosen, normalised }: Routing) {
      const shares = node("Softmax", [logits], { axis: 1 });
      const [values, indices] = several("TopK", [shares, integers(chosen)], 2, { axis: 1 }) as [string, string];
      const total = () => node("ReduceSum", [values, integers(1)], { keepdims: 1 });
      const kept = normalised ? node("Div", [values, total()]) : values;
      const none = node("ConstantOfShape", [node("Shape", [logits])]);
      return node("ScatterElements", [none, indices, kept], { axis: 1 });
    },
    gather: (x, routes, expert) => node("GatherND", [x, pick(routes, expert).at]),
    scatter(x, routes, expert) {
      const { share, at } = pick(routes, expert);
      const shared = node("Mul", [x, node("GatherND", [share, at])]);
      const shape = [node("Shape", [routes], { end: 1 }), node("Shape", [x], { start: 1 })];
      const none = node("ConstantOfShape", [node("Concat", shape, { axis: 0 })]);
      return node("ScatterND", [none, at, shared]);
    },
  };
}
