import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { leastMemory } from "./pare.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const script = join(root, "scripts/make-llama-shape.mjs");
const library = pathToFileURL(join(root, "dist/index.js")).href;

/** Milliseconds: a machine may have much else to do. */
const SLOW = 900_000;
const MEBIBYTE = 2 ** 20;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-memory-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A model of LLaMA's architecture with random weights, and windows of random ids. */
async function make(name: string, shape: Readonly<Record<string, number>>): Promise<string> {
  const model = join(await mkdtemp(join(folder, "model-")), name);
  const options = Object.entries(shape).flatMap(([key, value]) => [`--${key}`, `${value}`]);
  await promisify(execFile)(process.execPath, [script, model, ...options]);
  return model;
}

/** Calls the library in a process of its own; gives its result and the most memory that the process had, in bytes. */
async function measured(verb: "compress" | "evaluate", options: object) {
  const code = `
    import { existsSync, readFileSync } from "node:fs";
    import { ${verb} } from ${JSON.stringify(library)};
    const result = await ${verb}(${JSON.stringify(options)});
    // Of this program alone: maxRSS begins with what the process held that started it.
    const status = existsSync("/proc/self/status") ? readFileSync("/proc/self/status", "utf8") : "";
    const peak = 1024 * Number(/VmHWM:\\s+(\\d+) kB/.exec(status)?.[1] ?? process.resourceUsage().maxRSS);
    console.log(JSON.stringify({ result, peak }));`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", code]);
  return JSON.parse(stdout) as { result: Record<string, unknown>; peak: number };
}

async function sizeOf(model: string): Promise<number> {
  return (await stat(join(model, "model.safetensors"))).size;
}

const BLOCK = { hidden: 1024, intermediate: 2816, heads: 16 };

describe("compress --memory", () => {
  test("keeps the limit that it says is the least, and gives the same bytes", { timeout: SLOW }, async () => {
    // The hidden states, 48 MiB, are more than the limit may be above what is needed: they have to lie on disk.
    const model = await make("wide", { ...BLOCK, layers: 3, vocabulary: 240_000, windows: 24, tokens: 512 });
    const [bounded, free] = [join(folder, "bounded"), join(folder, "free")];
    const args = ["--method", "wanda", "--sparsity", "0.5", "--calibration", join(model, "windows.json")];
    const memory = await leastMemory("compress", model, ...args, "-o", bounded);
    expect(await readdir(folder)).not.toContain("bounded.partial");
    expect(memory).toBeLessThan((await sizeOf(model)) / 1.5);

    const options = { model, method: "wanda", sparsity: 0.5, calibration: join(model, "windows.json") };
    const { peak } = await measured("compress", { ...options, output: bounded, memory });
    expect(peak).toBeLessThan(memory);
    await measured("compress", { ...options, output: free });
    expect((await readdir(bounded)).sort()).toEqual((await readdir(free)).sort());
    for (const name of await readdir(free)) {
      const [one, other] = await Promise.all([readFile(join(bounded, name)), readFile(join(free, name))]);
      expect(one.equals(other), name).toBe(true);
    }
    for (const path of [model, bounded, free]) await rm(path, { recursive: true });
  });
});

describe("evaluate --memory", () => {
  test("keeps the limit that it says is the least, and gives the same figures", { timeout: SLOW }, async () => {
    const model = await make("deep", { ...BLOCK, layers: 36, vocabulary: 2000, windows: 3, tokens: 256 });
    const data = join(model, "windows.json");
    const memory = await leastMemory("evaluate", model, "--base", model, "--data", data, "--noise-floor");
    expect(memory).toBeLessThan((await sizeOf(model)) / 1.5);
    const options = { model, base: model, data, noiseFloor: true };
    const output = join(folder, "results"); // what is kept for a run that goes on counts too
    const bounded = await measured("evaluate", { ...options, output, memory: memory + 32 * MEBIBYTE });
    expect(bounded.peak).toBeLessThan(memory + 32 * MEBIBYTE);
    const free = await measured("evaluate", options);
    for (const key of ["perplexity", "loss", "jsd", "kl", "noiseFloor", "sameTop1"]) {
      expect(bounded.result[key], key).toEqual(free.result[key]);
    }
    await rm(model, { recursive: true });
  });
});
