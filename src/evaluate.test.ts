import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compress } from "./compress.js";
import { AbortError, InputError } from "./errors.js";
import { evaluate } from "./evaluate.js";

const base = "assets/models/stories260K";
const data = "test/fixtures/pruning/stories260K/evaluation.json";
let folder: string;
let pruned: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "pare-evaluate-"));
  pruned = join(folder, "pruned");
  await compress({ model: base, output: pruned, method: "magnitude", sparsity: 0.1 });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function windowsFile(name: string, windows: unknown): string {
  const file = join(folder, name);
  writeFileSync(file, JSON.stringify({ windows }));
  return file;
}

async function compare(options: Partial<Parameters<typeof evaluate>[0]> = {}) {
  const result = await evaluate({ model: pruned, base, data, windows: 4, ...options });
  if (!("jsd" in result)) throw new Error("no divergences");
  return result;
}

describe("evaluate", () => {
  it("finds no difference between a model and itself", async () => {
    const same = await compare({ model: base });
    expect(same.jsd.max).toBe(0);
    expect(same.kl.max).toBe(0);
    expect(same.perplexity.ratio).toBe(1);
    expect(same.sameTop1.mean).toBe(1);
  });

  it("gives a model alone the perplexity that it has in a comparison", async () => {
    const alone = await evaluate({ model: pruned, data, windows: 4 });
    if (!alone.data) throw new Error("no figures of text");
    const { perplexity } = await compare();
    expect(alone.perplexity.base).toBeNull();
    expect(alone.perplexity.compressed).toBeCloseTo(perplexity.compressed!, 10);
    expect("jsd" in alone).toBe(false);
  });

  it("turns around: exchanging the models exchanges the directions", async () => {
    const there = await compare();
    const back = await compare({ model: base, base: pruned });
    expect(back.jsd.mean).toBe(there.jsd.mean);
    expect(back.kl.mean).toBe(there.klReverse.mean);
    expect(back.loss.difference).toBeCloseTo(-there.loss.difference!, 12);
  });

  it("does not depend on which windows run together", async () => {
    const whole = await compare();
    const windows: number[][] = JSON.parse(readFileSync(data, "utf8")).windows.slice(0, 4);
    const mixed = windows.flatMap((window) => [window.slice(0, 100), window.slice(100, 256)]);
    const short = windows.flatMap((window) => [window.slice(0, 100)]);
    const long = windows.flatMap((window) => [window.slice(100, 256)]);
    const [a, b, both] = [
      await compare({ data: windowsFile("short.json", short) }),
      await compare({ data: windowsFile("long.json", long) }),
      await compare({ data: windowsFile("mixed.json", mixed), windows: 8 }),
    ];
    expect(both.positions).toBe(a.positions + b.positions);
    const weighted = (a.jsd.mean! * a.positions + b.jsd.mean! * b.positions) / both.positions;
    expect(both.jsd.mean! / weighted).toBeCloseTo(1, 5);
    expect(whole.positions).toBe(4 * 255);
  });

  it("sets a noise floor far below what pruning costs, and above nothing", async () => {
    const { noiseFloor, jsd } = await compare({ noiseFloor: true });
    expect(noiseFloor!.relativeNoise).toBe(2 ** -9);
    expect(noiseFloor!.jsd.mean).toBeGreaterThan(0);
    expect(noiseFloor!.jsd.mean).toBeLessThan(jsd.mean! / 10);
  });

  it("keeps every position's figures, the same in JSON lines and in Parquet", async () => {
    const lines = join(folder, "tokens.jsonl");
    const parquet = join(folder, "tokens.parquet");
    const summary = await compare({ perToken: lines });
    await compare({ perToken: parquet });
    const rows = readFileSync(lines, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(rows).toHaveLength(summary.positions);
    const mean = rows.reduce((sum, row) => sum + row.jsd, 0) / rows.length;
    expect(mean).toBeCloseTo(summary.jsd.mean!, 12);
    const ids: number[] = JSON.parse(readFileSync(data, "utf8")).windows[0];
    expect(rows.slice(0, 255).map((row) => row.token)).toEqual(ids.slice(1));
    expect(rows[0]).toMatchObject({ window: 0, position: 1 });
    expect(typeof rows[0].text).toBe("string");
    expect(await parquetReadObjects({ file: await asyncBufferFromFile(parquet) })).toEqual(rows);
    expect(readdirSync(folder).filter((name) => name.endsWith(".partial"))).toEqual([]);
  });

  it.each([
    ["no windows", () => [], /"windows" must be a list of at least one list/],
    ["a window of one token", () => [[1]], /window 0 has 1 tokens; 2 are the least/],
    ["a window too long for the model", () => [new Array(513).fill(1)], /window 0 has 513 tokens.*at most 512/],
    [
      "an id outside the vocabulary",
      () => [
        [1, 2],
        [3, 512],
      ],
      /window 1 holds token id 512.*vocabulary of 512/,
    ],
  ])("refuses %s", async (_, windows, message) => {
    const file = windowsFile("wrong.json", windows());
    await expect(evaluate({ model: base, data: file })).rejects.toThrow(InputError);
    await expect(evaluate({ model: base, data: file })).rejects.toThrow(message);
  });

  it("refuses what needs a base, another vocabulary, and a file name of no known kind", async () => {
    await expect(evaluate({ model: base, data, noiseFloor: true })).rejects.toThrow(/--noise-floor.*add --base/);
    await expect(evaluate({ model: base, data, perToken: "x.jsonl" })).rejects.toThrow(/--per-token.*add --base/);
    await expect(compare({ model: "test/fixtures/models/llama" })).rejects.toThrow(/vocabulary of 128.*one of 512/);
    await expect(compare({ perToken: "x.csv" })).rejects.toThrow(/ends in \.jsonl or \.parquet/);
  });

  it("stops when told to", async () => {
    await expect(compare({ signal: AbortSignal.abort() })).rejects.toThrow(AbortError);
  });
});
