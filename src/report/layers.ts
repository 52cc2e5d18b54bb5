import type { SiteResult } from "../results/compression-record.js";
import type { LayerSparsity } from "./report-data.js";

/** `model.layers.12.self_attn.q_proj`: the layer's number, and what kind of site it is. */
const SITE = /(?:^|\.)(\d+)\.(.+)$/;

/** Share of zeros of every layer and kind of site; sites outside of layers are left out. */
export function layerSparsity(sites: Readonly<Record<string, SiteResult>>): LayerSparsity {
  const sums = new Map<string, Map<number, SiteResult>>();
  for (const [name, { zeros, size }] of Object.entries(sites)) {
    const match = SITE.exec(name);
    if (!match) continue;
    const layer = Number(match[1]);
    const kind = match[2]!.replace(/\.weight$/, "");
    const ofKind = sums.get(kind) ?? new Map<number, SiteResult>();
    sums.set(kind, ofKind);
    const before = ofKind.get(layer) ?? { zeros: 0, size: 0 };
    ofKind.set(layer, { zeros: before.zeros + zeros, size: before.size + size });
  }
  const layers = [...new Set([...sums.values()].flatMap((of) => [...of.keys()]))].sort((a, b) => a - b);
  const shares = (of: ReadonlyMap<number, SiteResult>) =>
    layers.map((layer) => {
      const sum = of.get(layer);
      return sum && sum.size > 0 ? Number((sum.zeros / sum.size).toFixed(4)) : null;
    });
  return { layers, kinds: Object.fromEntries([...sums].map(([kind, of]) => [kind, shares(of)])) };
}
