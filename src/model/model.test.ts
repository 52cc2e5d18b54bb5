import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { openCheckpoint } from "../checkpoint/open.js";
import { openModel } from "./model.js";

const fixtures = fileURLToPath(new URL("../../test/fixtures/models", import.meta.url));

/** A copy of a model whose tensors' names lack a beginning. */
function withoutPrefix(model: string, prefix: string): string {
  const folder = mkdtempSync(join(tmpdir(), "pare-names-"));
  cpSync(join(fixtures, model), folder, { recursive: true });
  const path = join(folder, "model.safetensors");
  const file = readFileSync(path);
  const length = Number(file.readBigUInt64LE(0));
  const header = Object.entries(JSON.parse(file.toString("utf8", 8, 8 + length)));
  const renamed = header.map(([name, entry]) => [name.startsWith(prefix) ? name.slice(prefix.length) : name, entry]);
  const bytes = Buffer.from(JSON.stringify(Object.fromEntries(renamed)));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(bytes.length));
  writeFileSync(path, Buffer.concat([size, bytes, file.subarray(8 + length)]));
  return folder;
}

it("finds tensors that are stored without the whole model's name before theirs, as GPT-2's are", async () => {
  const folder = withoutPrefix("gpt2", "transformer.");
  const [plain, whole] = await Promise.all([openCheckpoint(folder), openCheckpoint(join(fixtures, "gpt2"))]);
  try {
    const [ours, expected] = [openModel(plain), openModel(whole)];
    expect(ours.layers[0]!.sites[0]!.stored.tensor).toBe("h.0.attn.c_attn.weight");
    expect(ours.layers[0]!.sites.map(({ name }) => name)).toEqual(expected.layers[0]!.sites.map(({ name }) => name));
    const engine = { takesBfloat16: false };
    for (const [i, layer] of ours.layers.entries()) {
      expect(await ours.layerWeights(engine, layer)).toEqual(await expected.layerWeights(engine, expected.layers[i]!));
    }
    expect(await ours.headWeights(engine)).toEqual(await expected.headWeights(engine));
    expect(await ours.embed(Int32Array.of(3))).toEqual(await expected.embed(Int32Array.of(3)));
  } finally {
    await plain.close();
    await whole.close();
    rmSync(folder, { recursive: true });
  }
});
