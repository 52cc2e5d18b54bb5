import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open.js";
import { compress } from "../../src/compress.js";
import { evaluate } from "../../src/evaluate.js";
import { oracle } from "../oracles.js";

const folder = process.env["PARE_SMOLLM2"] ?? oracle("models", "SmolLM2-135M-Instruct");
const model = folder && existsSync(join(folder, "model.safetensors")) ? folder : undefined;
const oracles = oracle("oracles", "pruning", "SmolLM2-135M-Instruct");
const cases = oracles ? readdirSync(oracles).filter((name) => /^(magnitude|wanda|sparsegpt)-/.test(name)) : [];

/**
 * Relative tolerance of perplexity and JSD. A method that calibrates chooses between weights whose scores are as close as
 * float32 rounding; one other choice in an early block is followed by thousands in the late ones. PyTorch itself in float64
 * is 0.27% and 0.28% from PyTorch in float32 with Wanda at 50% (docs/accuracy.md), so no program can be asked for less.
 */
const EXACT = { perplexity: 1e-3, jsd: 5e-3 };
const TOLERANCE: Readonly<Record<string, typeof EXACT>> = {
  "magnitude-0.3.json": EXACT,
  "magnitude-0.5.json": EXACT,
  "wanda-0.3.json": EXACT, // no close call is decided otherwise
  "wanda-0.5.json": { perplexity: 2e-2, jsd: 1e-2 },
  "wanda-2of4.json": { perplexity: 2e-2, jsd: 1e-2 },
  "sparsegpt-0.3.json": { perplexity: 1e-2, jsd: 3e-2 },
  "sparsegpt-0.5.json": { perplexity: 4e-2, jsd: 3e-2 },
  "sparsegpt-2of4.json": { perplexity: 8e-2, jsd: 5e-2 },
};
/** Blocks of wanda50.json in which every mask must be PyTorch's, bit for bit: before the first close call. */
const EXACT_BLOCKS = 4;

describe.skipIf(!model || !oracles)(
  "SmolLM2-135M-Instruct pruned, against PyTorch's figures (needs PARE_ORACLES, and the model as a folder there or in PARE_SMOLLM2)",
  () => {
    let output: string;
    beforeAll(() => {
      output = mkdtempSync(join(tmpdir(), "pare-smollm2-"));
    });
    afterAll(() => rmSync(output, { recursive: true, force: true }));

    it.each(cases)(
      "%s",
      async (name) => {
        const expected = JSON.parse(readFileSync(join(oracles!, name), "utf8"));
        const compressed = await compress({
          model: model!,
          output: join(output, name),
          method: expected.method,
          ...(expected.pattern ? { pattern: expected.pattern } : { sparsity: expected.sparsity }),
          calibration: join(oracles!, "calibration.json"),
        });
        const figures = await evaluate({
          model: compressed.output,
          base: model!,
          data: join(oracles!, "evaluation.json"),
        });
        rmSync(compressed.output, { recursive: true });
        if (!("jsd" in figures)) throw new Error("no divergences");
        const tolerance = TOLERANCE[name]!;
        const off = (ours: number | null, theirs: number) => Math.abs(ours! - theirs) / theirs;
        expect(off(figures.perplexity.base, expected.perplexity_base), "base perplexity").toBeLessThan(1e-4);
        expect(off(figures.perplexity.compressed, expected.perplexity), "perplexity").toBeLessThan(
          tolerance.perplexity,
        );
        expect(off(figures.jsd.mean, expected.jsd), "JSD").toBeLessThan(tolerance.jsd);
        expect(compressed.sparsity).toBeCloseTo(expected.achieved_sparsity, 5);
        if (expected.method !== "sparsegpt") {
          const zeros = Object.entries(compressed.sites).map(([site, { zeros }]) => [
            site.replace(/^model\./, ""),
            zeros,
          ]);
          expect(Object.fromEntries(zeros)).toEqual(expected.zeros);
        }
      },
      600_000,
    );

    it("wanda's masks in the first blocks are PyTorch's, bit for bit", async () => {
      const { linears } = JSON.parse(readFileSync(oracle("oracles", "wanda50.json")!, "utf8")) as {
        linears: Record<string, { mask_sha256: string }>;
      };
      const names = Object.keys(linears).filter((name) => Number(name.split(".")[2]) < EXACT_BLOCKS);
      expect(names).toHaveLength(7 * EXACT_BLOCKS);
      const { output: pruned } = await compress({
        model: model!,
        output: join(output, "wanda50"),
        method: "wanda",
        sparsity: 0.5,
        calibration: oracle("oracles", "calibration_c4_16x512.json")!,
        only: Array.from({ length: EXACT_BLOCKS }, (_, layer) => `model.layers.${layer}`),
      });
      const checkpoint = await openCheckpoint(pruned);
      try {
        for (const name of names) {
          const mask = packZeros(await checkpoint.read(name));
          expect(createHash("sha256").update(mask).digest("hex"), name).toBe(linears[name]!.mask_sha256);
        }
      } finally {
        await checkpoint.close();
      }
    }, 600_000);
  },
);

/** 1 = zero, in order, packed most significant bit first. */
function packZeros(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(values.length / 8));
  for (const [i, value] of values.entries()) if (value === 0) bytes[i >> 3]! |= 0x80 >> (i & 7);
  return bytes;
}
