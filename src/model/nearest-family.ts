import type { Checkpoint } from "../checkpoint/checkpoint.js";
import { describe } from "../engine/describe.js";
import { nearest } from "../text/nearest.js";
import { families } from "./families/registry.js";

/** Tensor names that are listed. */
const LISTED = 4;

/**
 * What to say of a checkpoint whose model_type no family has: which has a similar name, which there are, and whose blocks
 * are most like this one's, and where they differ.
 */
export function nearestFamily(checkpoint: Checkpoint, type: string): string {
  const known = families.flatMap(({ modelTypes }) => modelTypes);
  const close = nearest(type, known);
  const alike = mostAlike(checkpoint);
  return `${close ? ` (did you mean ${close}?)` : ""}; supported: ${known.join(", ")}${alike ? `; ${alike}` : ""}`;
}

function mostAlike({ config, tensors }: Checkpoint): string | undefined {
  const candidates = families.flatMap(({ name, architecture }) => {
    const block = blockTensors(() => architecture(config, ""));
    if (!block) return [];
    const { prefix, names } = block;
    const found = [...tensors.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
    const extra = found.filter((tensor) => !names.has(tensor));
    const lacking = [...names].filter((tensor) => !found.includes(tensor));
    return found.length > extra.length ? [{ name, extra, lacking }] : [];
  });
  const [best] = candidates.sort((a, b) => a.extra.length + a.lacking.length - b.extra.length - b.lacking.length);
  if (!best) return undefined;
  const list = (names: readonly string[]) =>
    names.slice(0, LISTED).join(", ") + (names.length > LISTED ? ` and ${names.length - LISTED} more` : "");
  const differences = [
    best.extra.length > 0 ? `${list(best.extra)} in addition` : undefined,
    best.lacking.length > 0 ? `no ${list(best.lacking)}` : undefined,
  ].filter((part) => part !== undefined);
  const how = differences.length > 0 ? `but its blocks have ${differences.join(" and ")}` : "by its tensors' names";
  return `it is most like ${best.name}, ${how}`;
}

/** The names of the tensors that a family's first block needs, without the layer's prefix; none where it cannot read the config. */
function blockTensors(read: () => ReturnType<(typeof families)[number]["architecture"]>) {
  try {
    const { block, layerPrefix, storage } = read();
    const names = new Set<string>();
    for (const name of describe(block(0)).parameters.keys()) {
      const dot = name.lastIndexOf(".");
      names.add((storage?.[name.slice(0, dot)]?.name ?? name.slice(0, dot)) + name.slice(dot));
    }
    return { prefix: layerPrefix(0), names };
  } catch {
    return undefined;
  }
}
