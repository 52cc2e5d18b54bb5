import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { oracle } from "../oracles.js";
import { expectRefused, pare, stories } from "./pare.js";

const examples = fileURLToPath(new URL("../../examples/", import.meta.url));

/** How often a study is killed; 20 where time does not matter. */
const KILLS = Number(process.env["PARE_STUDY_KILLS"] ?? 5);

/** Milliseconds: a machine may have much else to do. */
const SLOW = 300_000;

const LINES: Readonly<Record<string, string>> = {
  models: `[${stories}]`,
  methods: "[magnitude, wanda]",
  sparsities: "[0.5]",
  calibration: "[tinystories]",
  samples: "4",
  sequence_length: "32",
  data: "[{ source: tinystories, windows: 4 }]",
  tasks: "[stories-last-word]",
  limit: "3",
  max_new_tokens: "4",
  blocks: "true",
};

let folder: string;
/** The study above, run once without disturbance. */
let whole: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-study-"));
  whole = join(folder, "whole");
  expect(await run("tiny", {}, whole)).toMatchObject({ code: 0, result: { cells: 2, failed: [] } });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function studyFile(name: string, changed: Readonly<Record<string, string>> = {}): Promise<string> {
  const file = join(folder, `${name}.yaml`);
  const lines = Object.entries({ ...LINES, ...changed }).filter(([, value]) => value !== "");
  await writeFile(file, lines.map(([key, value]) => `${key}: ${value}\n`).join(""));
  return file;
}

async function run(
  name: string,
  changed: Readonly<Record<string, string>>,
  output: string,
  more: readonly string[] = [],
  options: Parameters<typeof pare>[1] = {},
) {
  const file = await studyFile(name, changed);
  const { code, stdout, stderr } = await pare(["study", file, "-o", output, "--json", ...more], options);
  return { code, stderr, result: stdout === "" ? undefined : JSON.parse(stdout) };
}

const readJson = async (...path: string[]) => JSON.parse(await readFile(join(...path), "utf8"));

/** All that a study found, without when and how fast. */
async function found(output: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  const timed = /"(finishedAt|createdAt)":"[^"]*"|"seconds":\{[^}]*\}/g;
  for (const name of await readdir(join(output, "cells"))) {
    const bytes = await readFile(join(output, "cells", name));
    files[name] = name.endsWith(".json") ? bytes.toString().replace(timed, "") : bytes.toString("base64");
  }
  const csv = await readFile(join(output, "summary.csv"), "utf8");
  files["summary.csv"] = csv.replace(/,[^,\n]*,[^,\n]*\r\n/g, "\n"); // finishedAt, seconds
  return files;
}

async function cellsOf(output: string) {
  const { cells } = await readJson(output, "study.json");
  return Promise.all(cells.map(({ id }: { id: string }) => readJson(output, "cells", `${id}.json`)));
}

describe("a study", { timeout: SLOW }, () => {
  test("measures what compress and evaluate measure", async () => {
    const [, wanda] = await cellsOf(whole);
    const pruned = join(folder, "pruned");
    const calibration = ["--calibration", "tinystories", "--samples", "4", "--sequence-length", "32"];
    const compressed = ["compress", stories, "--method", "wanda", "--sparsity", "0.5", ...calibration, "-o", pruned];
    const { sparsity, sites } = JSON.parse((await pare([...compressed, "--json"])).stdout);
    const asked = ["--data", "tinystories", "--sequence-length", "32", "--windows", "4", "--noise-floor"];
    const tasks = ["--task", "stories-last-word", "--limit", "3", "--max-new-tokens", "4"];
    const evaluated = ["evaluate", pruned, "--base", stories, ...asked, ...tasks, "--json"];
    const { perplexity, jsd, kl, byConfidence, noiseFloor, data, ...rest } = JSON.parse((await pare(evaluated)).stdout);
    expect(wanda.compression).toMatchObject({ sparsity, sites, sha256: rest.model.sha256 });
    expect(wanda.text.tinystories).toMatchObject({ perplexity, jsd, kl, byConfidence, noiseFloor, data });
    expect(wanda.tasks).toEqual(rest.tasks);
    expect(wanda.taskRecords["stories-last-word"]).toMatchObject({ items: 3, limit: 3, maxNewTokens: 4 });
  });

  test("keeps what the report reads", async () => {
    const [magnitude, wanda] = await cellsOf(whole);
    expect(magnitude.label).toMatchObject({ model: "stories260K", method: "magnitude", calibration: null, seed: null });
    expect(wanda.label).toMatchObject({ method: "wanda", sparsity: 0.5, calibration: "tinystories", seed: 0 });
    const [window] = wanda.sample;
    expect(window).toMatchObject({ source: "tinystories", window: 0 });
    expect(window.tokens).toHaveLength(32);
    for (const { base, compressed, jsd } of window.tokens.slice(1)) {
      expect(jsd).toBeGreaterThanOrEqual(0);
      for (const likely of [base, compressed]) {
        const probabilities = likely.map(([, probability]: [string, number]) => probability);
        expect(probabilities).toEqual([...probabilities].sort((a, b) => b - a));
        expect(probabilities.reduce((sum: number, p: number) => sum + p, 0)).toBeLessThan(1.001);
      }
    }
    expect(wanda.blocks.map(({ layer }: { layer: number }) => layer)).toEqual([0, 1, 2, 3, 4]);
    for (const { jsd } of wanda.blocks) expect(jsd.mean).toBeGreaterThan(0);
    const items = (await readFile(join(whole, "cells", `${wanda.id}.items.jsonl`), "utf8")).trim().split("\n");
    expect(items.map((line) => JSON.parse(line).task)).toEqual(Array(3).fill("stories-last-word"));
    expect(await readdir(join(whole, "work"))).toEqual([]);
    expect(await readdir(join(whole, "locks"))).toEqual([]);
    const [header, ...lines] = (await readFile(join(whole, "summary.csv"), "utf8")).trim().split("\r\n");
    expect(header).toMatch(/^id,model,method,.*tinystories\.jsd,.*stories-last-word\.exact_match\.difference/);
    expect(lines).toHaveLength(2);
    for (const model of await readdir(join(whole, "lm-eval"))) {
      const names = await readdir(join(whole, "lm-eval", model));
      expect(names.map((name) => name.replace(/_\d.*/, "")).sort()).toEqual(["results", "samples_stories-last-word"]);
    }
  });

  test("computes nothing twice, and after a change what it touches", async () => {
    const output = join(folder, "changed");
    await cp(whole, output, { recursive: true });
    const before = await found(output);
    expect((await run("changed", {}, output)).result.computed).toEqual([]);
    expect(await found(output)).toEqual(before);

    const more = await run("changed", { sparsities: "[0.5, 0.25]" }, output);
    expect(more.result).toMatchObject({ cells: 4, computed: expect.objectContaining({ length: 2 }) });
    expect(await found(output)).toMatchObject({ ...before, "summary.csv": expect.any(String) });

    // Another task: text is not measured again, as the old time of its part shows.
    const timesOf = async () => {
      const [, wanda] = await cellsOf(output);
      return wanda.seconds;
    };
    const old = await timesOf();
    const tasks = "[stories-last-word, stories-continue]";
    const task = await run("changed", { tasks }, output);
    expect(task.result.computed).toHaveLength(2);
    expect(await timesOf()).toEqual({ ...old, "stories-continue": expect.any(Number) });

    // And back again: everything is still there.
    expect((await run("changed", {}, output)).result.computed).toEqual([]);
    expect(await found(output)).toMatchObject({ ...before, "summary.csv": before["summary.csv"] });
  });

  test("several seeds and sources are several cells, but not of a method that needs none", async () => {
    const changed = { seeds: "[0, 1]", calibration: "[tinystories, { source: tinystories, name: few, samples: 2 }]" };
    const { result } = await run("seeds", changed, join(folder, "seeds"), ["--dry-run"]);
    const labels = result.cells.map(({ label }: { label: Record<string, unknown> }) =>
      [label["method"], label["calibration"], label["seed"]].join(" "),
    );
    expect(labels).toEqual(["magnitude  ", "wanda tinystories 0", "wanda tinystories 1", "wanda few 0", "wanda few 1"]);
  });

  test("says what it would do, and does nothing", async () => {
    const output = join(folder, "dry");
    const { code, result } = await run("dry", {}, output, ["--dry-run"]);
    expect(code).toBe(0);
    expect(existsSync(output)).toBe(false);
    expect(result).toMatchObject({ basis: { kind: "speed" }, cells: [{ state: "to do" }, { state: "to do" }] });
    for (const { seconds, bytes } of result.cells) {
      expect(seconds).toBeGreaterThan(0);
      expect(bytes).toBeGreaterThan(0);
    }
    const more = await run("dry", { sparsities: "[0.5, 0.25]" }, whole, ["--dry-run"]);
    expect(more.result).toMatchObject({ basis: { kind: "cells", cells: 2 } });
    expect(more.result.cells.map(({ state }: { state: string }) => state)).toEqual(["done", "done", "to do", "to do"]);
  });

  test("speaks of the file's keys, not of options, where no site fits", async () => {
    const output = join(folder, "no-site");
    const skipped = await run("no-site", { skip: "[mlp.dwn_proj]" }, output, ["--dry-run"]);
    expect(skipped).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^error: skip mlp\.dwn_proj: matches no site .*did you mean mlp\.down_proj\?\)\n$/),
    });
    const odd = await run("no-site", { patterns: '["2:5"]' }, output, ["--dry-run"]);
    expect(odd).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/no multiple of 5; .* leave it out with skip\n$/),
    });
  });

  test("shards cover every cell exactly once", async () => {
    const changed = { sparsities: "[0.1, 0.2, 0.3]", patterns: '["2:4"]' };
    const idsOf = async (more: readonly string[]) => {
      const { result } = await run("shards", changed, join(folder, "shards"), ["--dry-run", ...more]);
      return result.cells.map(({ id }: { id: string }) => id) as string[];
    };
    const shards = [await idsOf(["--shard", "1/3"]), await idsOf(["--shard", "2/3"]), await idsOf(["--shard", "3/3"])];
    expect(shards.map(({ length }) => length)).toEqual([3, 3, 2]);
    expect(shards.flat().sort()).toEqual((await idsOf([])).sort());
  });

  test("keeps checkpoints where that is asked for", async () => {
    const output = join(folder, "keep");
    await cp(whole, output, { recursive: true });
    expect((await run("keep", {}, output, ["--keep", "all"])).result.computed).toHaveLength(2);
    const [magnitude] = await cellsOf(output);
    const kept = join(output, "checkpoints", `stories260K-magnitude-0.5-${magnitude.id}`);
    expect(await readJson(kept, "pare.json")).toMatchObject({ method: "magnitude", sparsity: 0.5 });
  });

  test("a cell that fails is recorded, and the others go on", async () => {
    const output = join(folder, "failing");
    await cp(whole, output, { recursive: true });
    const [, { id }] = await cellsOf(output);
    await rm(join(output, "parts", id), { recursive: true });
    await writeFile(join(output, "parts", id), "in the way");
    const { code, stderr, result } = await run("failing", { sparsities: "[0.5, 0.25]" }, output);
    expect(code).toBe(1);
    expect(stderr).toMatch(/1 of 4 cells failed; the same command tries them again\.\n$/);
    expect(result).toMatchObject({ computed: { length: 2 }, failed: [{ id, label: { method: "wanda" } }] });
    await rm(join(output, "parts", id));
    expect(await run("failing", { sparsities: "[0.5, 0.25]" }, output)).toMatchObject({
      code: 0,
      result: { computed: [id] },
    });
    expect(await readdir(join(output, "cells"))).not.toContain(`${id}.failed.json`);
  });
});

test("a folder that another process has just begun is a study's, before study.json is there", {
  timeout: SLOW,
}, async () => {
  const output = join(folder, "begun");
  await mkdir(join(output, "cells"), { recursive: true });
  await mkdir(join(output, "locks"));
  await writeFile(join(output, "study.json.0f6e.partial"), "{");
  expect(await run("begun", {}, output)).toMatchObject({ code: 0, result: { cells: 2, failed: [] } });
  expect(await found(output)).toEqual(await found(whole));
});

test("two processes on one folder share the cells", { timeout: SLOW }, async () => {
  const output = join(folder, "shared");
  const changed = { sparsities: "[0.5, 0.25]" };
  const both = await Promise.all([run("shared-a", changed, output), run("shared-b", changed, output)]);
  expect(both.map(({ code }) => code)).toEqual([0, 0]);
  const computed = both.flatMap(({ result }) => result.computed);
  expect(computed.sort()).toEqual((await cellsOf(output)).map(({ id }) => id).sort());
  expect(await found(output)).toMatchObject({ ...(await found(whole)), "summary.csv": expect.any(String) });
});

test(`killed ${KILLS} times at random, it ends as if it had not been`, { timeout: SLOW * KILLS }, async () => {
  const expected = await found(whole);
  const begin = performance.now();
  await run("timed", {}, join(folder, "timed"));
  const duration = performance.now() - begin;
  const output = join(folder, "killed");
  for (let kill = 0; kill < KILLS; kill++) {
    await rm(output, { recursive: true, force: true });
    const moment = performance.now() + Math.random() * duration;
    await run("killed", {}, output, [], { killWhen: () => performance.now() > moment });
    // As it would be left between a file's last byte and its name.
    const begun = (await cellsOf(whole)).find(({ id }) => !existsSync(join(output, "cells", `${id}.json`)));
    if (begun) {
      await mkdir(join(output, "cells"), { recursive: true });
      await writeFile(join(output, "cells", `${begun.id}.items.jsonl.0-0.partial`), "{");
    }
    expect(await run("killed", {}, output)).toMatchObject({ code: 0, result: { failed: [] } });
    expect(await found(output)).toEqual(expected);
    expect(await readdir(join(output, "work"))).toEqual([]);
    expect(await readdir(join(output, "locks"))).toEqual([]);
  }
});

describe("wrong input is said in one line", () => {
  const refused = async (changed: Readonly<Record<string, string>>, message: string, more: readonly string[] = []) =>
    expectRefused(["study", await studyFile("wrong", changed), "-o", join(folder, "never"), ...more], message);

  test("no file", () =>
    expectRefused(["study", join(folder, "none.yaml")], "no such study file; pare init writes one"));
  test("a misspelt key", () =>
    refused({ methds: "[wanda]" }, "line 12: methds: a study has no such key here (did you mean methods?)"));
  test("a pattern that does not fit", () => refused({ patterns: '["3:5"]' }, "pattern 3:5 does not fit"));
  test("a task twice", () => refused({ tasks: "[stories-continue, stories-continue]" }, "is there twice"));
  test("an unknown engine", () => refused({}, "did you mean reference?", ["--engine", "referense"]));
  test("a shard that is none", () => refused({}, "--shard 4/3: write it i/n", ["--shard", "4/3"]));
  test("a sparsity out of range on the command line", () => refused({}, "must be below 1", ["--sparsity", "1"]));
  test("a folder that holds other things", async () =>
    expectRefused(["study", await studyFile("wrong"), "-o", stories], "holds other things than a study"));
  test("none of them wrote anything", () => expect(existsSync(join(folder, "never"))).toBe(false));
});

test("init writes a study file, which is right, and does not overwrite", async () => {
  const file = join(folder, "new.yaml");
  expect(await pare(["init", file])).toMatchObject({ code: 0, stdout: expect.stringContaining(`wrote ${file}`) });
  const replaced = ["--model", stories, "--calibration", "tinystories", "--data", "tinystories"];
  const more = ["--task", "stories-continue", "--samples", "4", "--sequence-length", "32", "--limit", "2"];
  const { code, stdout, stderr } = await pare(["study", file, "--dry-run", ...replaced, ...more]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/12 cells to do of 12/);
  await expectRefused(["init", file], "is there already");
});

const hasPandas = (() => {
  try {
    execFileSync("python3", ["-c", "import pandas, pyarrow"], { stdio: "ignore", cwd: "/" });
    return true;
  } catch {
    return false;
  }
})();

describe.skipIf(!hasPandas)("Parquet read by pandas (needs python3 with pandas and pyarrow)", () => {
  test("scores of items and figures of positions", async () => {
    const [, wanda] = await cellsOf(whole);
    const script = `
import sys, json, pandas
items = pandas.read_parquet(sys.argv[1])
tokens = pandas.read_parquet(sys.argv[2])
print(json.dumps({"metrics": items.groupby(["task", "metric"])["compressed"].mean().to_dict().__repr__(),
  "mean": items[items.metric == "exact_match"]["compressed"].mean(), "items": len(items), "jsd": tokens["jsd"].mean()}))`;
    const files = [".items.parquet", ".tinystories.tokens.parquet"].map((end) => join(whole, "cells", wanda.id + end));
    const read = JSON.parse(execFileSync("python3", ["-c", script, ...files], { encoding: "utf8", cwd: "/" }));
    expect(read.jsd).toBeCloseTo(wanda.text.tinystories.jsd.mean, 12);
    expect(read.mean).toBeCloseTo(wanda.tasks["stories-last-word"].exact_match.compressed, 12);
    expect(read.items).toBe(6);
  });
});

const smollm2 = process.env["PARE_SMOLLM2"];
const datasets = oracle("datasets");

describe("the examples", () => {
  test("quickstart.yaml, its whole grid", { timeout: SLOW }, async () => {
    const file = join(examples, "quickstart.yaml");
    const output = join(folder, "quickstart");
    const { code, stdout } = await pare(["study", file, "-o", output, "--limit", "4"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/9 of 9 cells measured, 9 of them now/);
    for (const method of ["magnitude", "wanda", "sparsegpt"]) expect(stdout).toMatch(new RegExp(`^${method} `, "m"));
  });

  test.skipIf(!smollm2 || !datasets)(
    "smollm2.yaml, a corner of it (needs PARE_SMOLLM2 and PARE_ORACLES)",
    { timeout: SLOW },
    async () => {
      const output = join(folder, "smollm2");
      const corner = [
        "--method",
        "wanda",
        "--sparsity",
        "0.2",
        "--samples",
        "2",
        "--task",
        "squad",
        "--limit",
        "2",
        "--calibration",
        "c4",
      ];
      const where = ["--model", smollm2!, "--data-dir", datasets!, "--sequence-length", "64"];
      const file = join(examples, "smollm2.yaml");
      const text = join(folder, "text.txt");
      await writeFile(text, "A little text to measure on, again and again. ".repeat(40));
      const { code, stderr } = await pare(["study", file, "-o", output, ...corner, ...where, "--data", text]);
      expect({ code, failed: /error: .*/.exec(stderr) }).toEqual({ code: 0, failed: null });
    },
  );
});
