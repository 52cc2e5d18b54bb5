import picomatch from "picomatch";
import { InputError } from "../errors.js";
import { nearest } from "../text/nearest.js";
import type { Model, Site } from "./model.js";

/** Which sites to compress: globs over full names, names inside a block, or a layer's prefix. */
export interface Selection {
  readonly only?: readonly string[];
  readonly skip?: readonly string[];
}

/**
 * The names of the sites that `only` names (all, where it is empty) and `skip` does not. `model.layers.0.*`,
 * `*.mlp.down_proj`, `mlp.down_proj` and `model.layers.0` all match. Throws InputError for a glob that matches nothing.
 */
export function selectSites(model: Model, { only = [], skip = [] }: Selection): Set<string> {
  const sites = model.layers.flatMap((layer) =>
    layer.sites.map((site) => ({ site, layer: model.architecture.layerPrefix(layer.index).replace(/\.$/, "") })),
  );
  const matching = (globs: readonly string[], flag: string): Set<Site> => {
    const found = new Set<Site>();
    for (const glob of globs) {
      const matches = picomatch(glob, { dot: true });
      const hits = sites.filter(({ site, layer }) => [site.name, site.local, layer].some((name) => matches(name)));
      if (hits.length === 0) {
        const names = sites.flatMap(({ site, layer }) => [site.name, site.local, layer]);
        const close = nearest(glob, [...new Set(names)]);
        throw new InputError(
          `${flag} ${glob}: matches no site of the model; sites are named like ${sites[0]?.site.name}` +
            (close ? ` (did you mean ${close}?)` : ""),
        );
      }
      for (const { site } of hits) found.add(site);
    }
    return found;
  };
  const chosen = only.length > 0 ? matching(only, "--only") : new Set(sites.map(({ site }) => site));
  for (const site of matching(skip, "--skip")) chosen.delete(site);
  if (chosen.size === 0) throw new InputError("--only and --skip leave no site to compress");
  return new Set([...chosen].map((site) => site.name));
}
