import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open.js";
import { compress } from "../../src/compress.js";
import { createReferenceEngine } from "../../src/engine/reference/reference.js";
import { openModel } from "../../src/model/model.js";
import { forward } from "../support/forward.js";
import { tinyModel, tinyModels } from "../support/models.js";
import { readSafetensors } from "../support/safetensors.js";

/** What transformers found in compressed checkpoints; made by test/interop/families.py. */
interface Golden {
  /** Of all tensors. */
  readonly zeros: number;
  readonly meanAbsoluteLogit: number;
  /** The first of the last position's. */
  readonly logits: readonly number[];
}

const golden: Record<string, Record<string, Golden>> = JSON.parse(
  readFileSync(new URL("families.json", import.meta.url), "utf8"),
).models;
const folders = tinyModels.filter((folder) => Object.hasOwn(golden, folder));
const targets = { "0.5": { sparsity: 0.5 }, "2of4": { pattern: "2:4" } };
const cases = ["magnitude", "wanda", "sparsegpt"].flatMap((method) =>
  Object.entries(targets).map(([name, target]) => ({ name: `${method}-${name}`, method, target })),
);

describe.each(folders)("%s, compressed, is what transformers reads", (folder) => {
  let work: string;
  const model = tinyModel(folder);
  const ids = readSafetensors(join(model, "expected.safetensors")).get("input_ids")!;
  const [count, tokens] = ids.shape as [number, number];
  const windows = Array.from({ length: count }, (_, w) => [...ids.data.slice(w * tokens, (w + 1) * tokens)]);
  beforeAll(() => {
    work = mkdtempSync(join(tmpdir(), "pare-families-"));
    writeFileSync(join(work, "windows.json"), JSON.stringify({ windows }));
  });
  afterAll(() => rmSync(work, { recursive: true }));

  it.each(cases)("$name", async ({ name, method, target }) => {
    const expected = golden[folder]![name]!;
    const output = join(work, name);
    await compress({
      model,
      output,
      method,
      ...target,
      calibration: join(work, "windows.json"),
      engine: "reference",
    });
    let zeros = 0;
    for (const { data } of readSafetensors(join(output, "model.safetensors")).values()) {
      for (const value of data) if (value === 0) zeros++;
    }
    expect(zeros).toBe(expected.zeros);
    const checkpoint = await openCheckpoint(output);
    try {
      const inputs = windows.map((window) => Int32Array.from(window));
      const { logits } = await forward(openModel(checkpoint), createReferenceEngine(), inputs);
      const mean = Float64Array.from(logits, Math.abs).reduce((sum, value) => sum + value, 0) / logits.length;
      expect(Math.abs(mean - expected.meanAbsoluteLogit)).toBeLessThan(2e-5);
      const last = logits.subarray(logits.length - logits.length / (count * tokens));
      for (const [i, value] of expected.logits.entries()) expect(Math.abs(last[i]! - value)).toBeLessThan(2e-5);
    } finally {
      await checkpoint.close();
    }
  });
});
