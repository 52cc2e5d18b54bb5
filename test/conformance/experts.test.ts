import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FEW_TOKENS } from "../../src/calibration/statistics.js";
import { compress } from "../../src/compress.js";
import { tinyModel } from "../support/models.js";

/** Mixtral's tiny model: 4 experts, of which every token goes to 2. */
const EXPERTS = 4;
const CHOSEN = 2;
const LAYERS = 3;

describe("experts are calibrated on the tokens that went to them", () => {
  let work: string;
  beforeEach(() => {
    work = mkdtempSync(join(tmpdir(), "pare-experts-"));
  });
  afterEach(() => rmSync(work, { recursive: true }));

  const prune = async (method: string, windows: readonly (readonly number[])[]) => {
    writeFileSync(join(work, "windows.json"), JSON.stringify({ windows }));
    const warnings: string[] = [];
    const result = await compress({
      model: tinyModel("mixtral"),
      output: join(work, "out"),
      method,
      sparsity: 0.5,
      calibration: join(work, "windows.json"),
      onProgress: (event) => void (event.kind === "warning" && warnings.push(event.message)),
    });
    return { ...result, warnings };
  };
  const windows = (count: number, tokens: number) =>
    Array.from({ length: count }, (_, w) => Array.from({ length: tokens }, (_, i) => (i * i * 7 + 31 * w + i) % 128));

  it.each(["wanda", "sparsegpt"])("%s counts them, records them and warns of few", async (method) => {
    const count = 20;
    const { sites, warnings } = await prune(method, windows(count, 24));
    const inputs = (layer: number, which: string) =>
      Array.from(
        { length: EXPERTS },
        (_, e) => sites[`model.layers.${layer}.block_sparse_moe.experts.${e}.${which}`]!.tokens!,
      );
    for (let layer = 0; layer < LAYERS; layer++) {
      expect(inputs(layer, "w1").reduce((a, b) => a + b)).toBe(count * 24 * CHOSEN);
      expect(inputs(layer, "w2")).toEqual(inputs(layer, "w1"));
      expect(sites[`model.layers.${layer}.self_attn.q_proj`]).not.toHaveProperty("tokens");
      const few = inputs(layer, "w1").filter((tokens) => tokens < FEW_TOKENS).length;
      const said = warnings.filter((warning) => warning.startsWith(`model.layers.${layer}: `));
      expect(said).toHaveLength(few > 0 ? 1 : 0);
      if (few > 0)
        expect(said[0]).toContain(`${3 * few} of ${3 * EXPERTS} weights of experts saw fewer than ${FEW_TOKENS}`);
    }
    expect(warnings.length).toBeGreaterThan(0);
    const record = JSON.parse(readFileSync(join(work, "out", "pare.json"), "utf8"));
    expect(record.result.sites).toEqual(sites);
  });

  it.each(["wanda", "sparsegpt"])("%s judges an expert that no token reached by its weights alone", async (method) => {
    const { sites, warnings } = await prune(method, [[5, 5]]); // one position's worth of routing, or little more
    const unreached = Object.entries(sites).filter(([, { tokens }]) => tokens === 0);
    expect(unreached.length).toBeGreaterThan(0);
    for (const [, { zeros, size }] of unreached) expect(zeros / size).toBeCloseTo(0.5, 1);
    expect(warnings.join()).toContain("weights that no token reached are judged by themselves alone");
  });
});
