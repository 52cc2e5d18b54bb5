import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectRefused, pare, stories } from "./pare.js";
import { writeWindows } from "./windows.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const main = join(root, "dist/cli/main.js");

let folder: string;
/** 4 windows of 32 token ids: 4 · 31 scored positions. */
let windows: string;
beforeAll(async () => {
  if (!existsSync(main)) throw new Error("dist/cli/main.js is not there: npm run build first");
  folder = await mkdtemp(join(tmpdir(), "pare-cli-"));
  windows = await writeWindows(join(folder, "windows.json"), 4, 32);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The one JSON document that stdout has to be. */
async function pareJson(...args: string[]) {
  const { code, stdout, stderr } = await pare([...args, "--json"]);
  return { code, stderr, result: JSON.parse(stdout) };
}

describe("help", () => {
  test("--help names every command, with examples", async () => {
    const { code, stdout, stderr } = await pare(["--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const word of ["compress", "evaluate", "inspect", "list", "doctor", "Examples:", "PARE_DATA"]) {
      expect(stdout).toContain(word);
    }
  });

  test("--version is package.json's", async () => {
    const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
    expect(await pare(["--version"])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
  });

  test("without a command the help goes to stderr", async () => {
    const { code, stdout, stderr } = await pare([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain("Usage: pare");
  });
});

describe("a wrong command", () => {
  const compress = (...args: string[]) => ["compress", stories, "-o", join(folder, "never"), ...args];
  const magnitude = (...args: string[]) => compress("--method", "magnitude", "--sparsity", "0.5", ...args);

  test("a file that cannot be written, before the work", async () => {
    const compare = ["evaluate", stories, "--base", stories, "--data", windows, "--per-token"];
    await expectRefused([...compare, join(folder, "none", "tokens.jsonl")], /there is no folder .*none; make it first/);
    const mine = join(folder, "mine.jsonl");
    await writeFile(mine, '{"thesis":1}\n');
    await expectRefused([...compare, mine], /mine\.jsonl: is there and is no table of tokens/);
    expect(await readFile(mine, "utf8")).toBe('{"thesis":1}\n');
  });

  test("a data folder that is not there", () =>
    expectRefused(
      ["evaluate", stories, "--data", "tinystories", "--data-dir", join(folder, "none")],
      /the data folder .*none is not there: correct --data-dir or PARE_DATA/,
    ));

  test("a folder named as a GGUF file is", () =>
    expectRefused(
      magnitude().with(3, join(folder, "m.gguf")),
      /m\.gguf: ends as a GGUF file does; give --format gguf/,
    ));

  test("unknown command", () =>
    expectRefused(["compres", stories], /unknown command 'compres'.*Did you mean compress\?/));
  test("unknown option", () => expectRefused(magnitude("--forse"), /unknown option '--forse'.*Did you mean --force\?/));
  test("missing option", () =>
    expectRefused(compress("--sparsity", "0.5"), /required option '--method <name>' not specified/));
  test("nothing to measure", () =>
    expectRefused(["evaluate", stories], /nothing to measure: .*--data SOURCE, .*--task NAME/));
  test("missing model", () => expectRefused(["inspect"], /missing required argument 'model'/));
  test("unknown method", () =>
    expectRefused(compress("--method", "wnda", "--sparsity", "0.5"), /--method wnda.*did you mean wanda\?/));
  test("unknown engine", () => expectRefused(magnitude("--engine", "referense"), /--engine.*did you mean reference\?/));
  test("unknown list", () => expectRefused(["list", "method"], /list method.*did you mean methods\?/));
  test("unknown weights", () =>
    expectRefused(magnitude("--only", "mlp.up_porj"), /--only mlp\.up_porj.*did you mean mlp\.up_proj\?/));
  test("two texts at once", () =>
    expectRefused(
      ["evaluate", stories, "--data", "c4", "--data", "wikitext2"],
      /--data.*It is there twice; pare study/,
    ));
  test("unknown data", () => expectRefused(["evaluate", stories, "--data", "nothing"], /nothing: no such file/));
  test("sparsity out of range", () =>
    expectRefused(compress("--method", "magnitude", "--sparsity", "1"), /--sparsity 1: .*below 1/));
  test("not a number", () =>
    expectRefused(magnitude("--samples", "1.5"), /'--samples <n>' argument '1\.5' is invalid/));
  test("not a number for a gate", () =>
    expectRefused(["evaluate", stories, "--data", windows, "--max-jsd", "low"], /'--max-jsd <nats>'/));
  test("no such folder", () => expectRefused(["inspect", join(folder, "nothing")], /nothing: no such folder/));
  test("gate without a base", () =>
    expectRefused(
      ["evaluate", stories, "--data", windows, "--max-jsd", "1"],
      /--max-jsd compares with a base: add --base/,
    ));
  test("under --json too", () => expectRefused(["inspect", join(folder, "nothing"), "--json"], /no such folder/));

  test("none of them wrote anything", () => expect(existsSync(join(folder, "never"))).toBe(false));

  test("a stranger's text does not reach the terminal raw", async () => {
    const model = join(folder, "strange");
    await cp(stories, model, { recursive: true });
    const config = JSON.parse(await readFile(join(stories, "config.json"), "utf8"));
    await writeFile(join(model, "config.json"), JSON.stringify({ ...config, model_type: "\u001b[31m\nred" }));
    await expectRefused(["evaluate", model, "--data", windows], /\\u001b\[31m/);
    const { stdout } = await pare(["inspect", model]);
    expect(stdout).toContain("not supported");
    expect(stdout).not.toContain("\u001b");
  });

  test("--debug adds the stack", async () => {
    const { code, stderr } = await pare(["inspect", join(folder, "nothing"), "--debug"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^error: .*no such folder.*\nInputError: .*\n +at /);
  });
});

describe("there and back", () => {
  let pruned: string;
  beforeAll(async () => {
    pruned = join(folder, "pruned");
    const run = await pare(["compress", stories, "--method", "magnitude", "--pattern", "2:4", "-o", pruned]);
    expect(run).toMatchObject({ code: 0, stdout: expect.stringContaining(`wrote ${pruned}`) });
    expect(run.stderr.match(/layer \d\/5/g)).toEqual([1, 2, 3, 4, 5].map((layer) => `layer ${layer}/5`));
  });

  test("compress --json says what inspect then finds", async () => {
    const output = join(folder, "wanda");
    const options = ["--method", "wanda", "--sparsity", "0.5", "--calibration", windows, "--samples", "3"];
    const { code, result } = await pareJson("compress", stories, ...options, "-o", output);
    expect(code).toBe(0);
    // Wanda zeroes ⌊in · 0.5⌋ of every row, and every row of this model has an even number of inputs.
    expect(result).toMatchObject({ output, sparsity: 0.5, calibration: { source: windows, windows: 3, tokens: 96 } });
    expect(result.seconds.calibrate).toBeGreaterThan(0);
    const { result: inspected } = await pareJson("inspect", output);
    const found = inspected.sites.map(({ name, zeros, size }: Record<string, unknown>) => [name, { zeros, size }]);
    expect(Object.fromEntries(found)).toEqual(result.sites);
    expect(inspected).toMatchObject({ family: "llama", layers: 5, parameters: 260_032, record: { method: "wanda" } });
  });

  test("compress says that magnitude uses no text, where one is given", async () => {
    const output = join(folder, "no-text");
    const { code, stderr } = await pare([
      "compress",
      stories,
      ...["--method", "magnitude", "--sparsity", "0.5", "--calibration", "tinystories", "-o", output],
    ]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^--calibration tinystories is not used: method magnitude needs no data$/m);
  });

  test("inspect finds the pattern, and prints it", async () => {
    const { result } = await pareJson("inspect", pruned);
    const sites: { pattern: string; zeros: number; size: number }[] = result.sites;
    expect(sites).toHaveLength(35);
    for (const site of sites) expect(site).toMatchObject({ pattern: "2:4", zeros: site.size / 2 });
    const { stdout } = await pare(["inspect", pruned]);
    expect(stdout).toMatch(/mlp\.down_proj +5 +64 x 172 +55,040 +50\.00% +2:4/);
    const { stdout: whole } = await pare(["inspect", pruned, "--sites"]);
    expect(whole).toMatch(/model\.layers\.4\.mlp\.down_proj +64 x 172 +11,008 +50\.00% +2:4/);
  });

  test("--format sparse-bitmask is the same model in less space, which every command reads", async () => {
    const sparse = join(folder, "sparse");
    const options = ["--method", "magnitude", "--pattern", "2:4", "--format", "sparse-bitmask"];
    expect(await pare(["compress", stories, ...options, "-o", sparse])).toMatchObject({ code: 0 });
    const { result: dense } = await pareJson("inspect", pruned);
    const { result: found } = await pareJson("inspect", sparse);
    expect(found.sites).toEqual(dense.sites);
    // What inspect says of the dense files, but for the header: it describes four tensors in place of each.
    expect(Math.abs(found.bytes - dense.bitmaskBytes)).toBeLessThan(400 * dense.sites.length);
    expect(found.bytes).toBeLessThan(0.75 * dense.bytes);
    expect(found.bitmaskBytes).toBeNull();
    const { result } = await pareJson("evaluate", sparse, "--base", pruned, "--data", windows);
    expect(result).toMatchObject({ jsd: { max: 0 }, perplexity: { ratio: 1 } });

    // And back: as a base it gives dense files again, those of the dense one.
    const back = join(folder, "back");
    const nothing = ["--method", "magnitude", "--sparsity", "0", "-o", back];
    expect(await pare(["compress", sparse, ...nothing])).toMatchObject({ code: 0 });
    const { result: again } = await pareJson("evaluate", back, "--base", pruned, "--data", windows);
    expect(again).toMatchObject({ jsd: { max: 0 }, perplexity: { ratio: 1 } });
    expect(JSON.parse(await readFile(join(back, "config.json"), "utf8"))).not.toHaveProperty("quantization_config");
    expect((await pareJson("inspect", back)).result.dtypes).toEqual(dense.dtypes);
  });

  test("evaluate against the base has the promised keys", async () => {
    const { code, stderr, result } = await pareJson("evaluate", pruned, "--base", stories, "--data", windows);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(result).toMatchObject({ positions: 4 * 31, data: { source: windows, windows: 4, sequenceLength: 32 } });
    expect(result).not.toHaveProperty("gates");
    const { perplexity, loss, jsd, kl, klReverse, sameTop1 } = result;
    expect(perplexity.ratio).toBeCloseTo(perplexity.compressed / perplexity.base, 10);
    expect(Math.log(perplexity.base)).toBeCloseTo(loss.base, 10);
    for (const divergence of [jsd, kl, klReverse]) {
      expect(divergence.mean).toBeGreaterThan(0);
      expect(divergence.meanBits).toBeCloseTo(divergence.mean / Math.LN2, 12);
      for (const key of ["standardError", "median", "p90", "p99", "max"])
        expect(divergence[key]).toEqual(expect.any(Number));
    }
    expect(jsd.max).toBeLessThanOrEqual(Math.LN2);
    expect(sameTop1.mean).toBeGreaterThanOrEqual(0);
    expect(sameTop1.mean).toBeLessThan(1);
  });

  test("the same figures for people", async () => {
    const { result } = await pareJson("evaluate", pruned, "--base", stories, "--data", windows);
    const { code, stdout } = await pare(["evaluate", pruned, "--base", stories, "--data", windows]);
    expect(code).toBe(0);
    expect(stdout).toContain("4 windows x 32 tokens, 124 positions");
    expect(stdout).toContain(`${result.environment.engine} in float32`);
    const printed = /^KL\(base‖compressed\) +(\S+) ± (\S+)/m.exec(stdout);
    expect(Math.abs(Number(printed?.[1]) - result.kl.mean)).toBeLessThan(result.kl.standardError / 2);
    expect(Number(printed?.[2]) / result.kl.standardError).toBeCloseTo(1, 1);
  });

  test("a model against itself passes every gate", async () => {
    const gates = ["--max-jsd", "0", "--max-perplexity-ratio", "1"];
    const { code, stderr, result } = await pareJson(
      "evaluate",
      stories,
      "--base",
      stories,
      "--data",
      windows,
      ...gates,
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(result).toMatchObject({ jsd: { max: 0 }, gates: { passed: true, maxJsd: { limit: 0, value: 0 } } });
  });

  test("a missed gate is exit code 3, after the results", async () => {
    const gates = ["--max-jsd", "0.001", "--max-perplexity-ratio", "1e9"];
    const { code, stderr, result } = await pareJson("evaluate", pruned, "--base", stories, "--data", windows, ...gates);
    expect(code).toBe(3);
    expect(stderr).toMatch(/^gate missed: mean JSD in nats is \S+, limit 0\.001\n$/);
    expect(result.gates).toMatchObject({ passed: false, maxJsd: { passed: false, limit: 0.001 } });
    expect(result.gates.maxPerplexityRatio).toMatchObject({ passed: true, value: result.perplexity.ratio });
  });

  test("a model alone", async () => {
    const { code, result } = await pareJson("evaluate", stories, "--data", windows);
    expect(code).toBe(0);
    expect(result).toMatchObject({ base: null, perplexity: { base: null, ratio: null }, nonFinite: 0 });
    expect(Math.log(result.perplexity.compressed)).toBeCloseTo(result.loss.compressed, 10);
  });

  test("what is wrong with a model outside its sites is refused or said, before the work", async () => {
    const damaged = join(folder, "damaged");
    await cp(stories, damaged, { recursive: true });
    const args = ["compress", damaged, "--method", "magnitude", "--sparsity", "0.5", "-o", join(folder, "never")];
    const config = join(damaged, "config.json");
    const text = await readFile(config, "utf8");
    const { num_hidden_layers: layers } = JSON.parse(text);
    await writeFile(config, text.replace(/("num_hidden_layers":\s*)\d+/, `$1${layers - 2}`));
    const short = await pare([...args.with(-1, join(folder, "short"))]);
    expect(short).toMatchObject({ code: 0 });
    expect(short.stderr).toMatch(
      new RegExp(`warning: .*holds model\\.layers\\.${layers - 2}\\..* counts ${layers - 2} layers`),
    );
    await writeFile(config, text);

    const file = join(damaged, "model.safetensors");
    const bytes = await readFile(file);
    const headerBytes = Number(bytes.readBigUInt64LE());
    const header = JSON.parse(bytes.subarray(8, 8 + headerBytes).toString());
    bytes.writeFloatLE(Number.NaN, 8 + headerBytes + header["model.norm.weight"].data_offsets[0]);
    await writeFile(file, bytes);
    await expectRefused(args, /model\.safetensors: tensor "model\.norm\.weight" is NaN/);
    expect(existsSync(join(folder, "never"))).toBe(false);
  });

  test("what a model holds beside its own, and another tokenizer than the base's, is said", async () => {
    const other = join(folder, "other");
    await cp(stories, other, { recursive: true });
    const file = join(other, "model.safetensors");
    const bytes = await readFile(file);
    const headerBytes = Number(bytes.readBigUInt64LE());
    const header = JSON.parse(bytes.subarray(8, 8 + headerBytes).toString());
    const end = bytes.length - 8 - headerBytes;
    for (const [i, kind] of ["weight_scale", "bias"].entries()) {
      const data_offsets = [end + 4 * i, end + 4 * i + 4];
      header[`model.layers.0.self_attn.q_proj.${kind}`] = { dtype: "F32", shape: [1], data_offsets };
    }
    const json = Buffer.from(JSON.stringify(header));
    const prefix = Buffer.alloc(8);
    prefix.writeBigUInt64LE(BigInt(json.length));
    await writeFile(file, Buffer.concat([prefix, json, bytes.subarray(8 + headerBytes), Buffer.alloc(8)]));
    const tokenizer = join(other, "tokenizer.json");
    const { model, ...rest } = JSON.parse(await readFile(tokenizer, "utf8"));
    await writeFile(tokenizer, JSON.stringify({ ...rest, model: { ...model, merges: model.merges.slice(0, 10) } }));
    const args = ["--base", stories, "--data", "tinystories", "--windows", "1", "--sequence-length", "32"];
    const { stderr } = await pare(["evaluate", other, ...args]);
    expect(stderr).toMatch(
      /warning: .*holds model\.layers\.0\.self_attn\.q_proj\.weight_scale and 1 more tensors, which llama models .* not computed with/,
    );
    expect(stderr).toMatch(/warning: .*other: its tokenizer is another than the base's, by which both are measured/);
    expect((await pare(["evaluate", stories, ...args])).stderr).not.toContain("warning");
  });

  test("text that a model was calibrated on is said to be that", async () => {
    const text = join(folder, "text.jsonl");
    const lines = Array.from({ length: 40 }, (_, i) =>
      JSON.stringify({ text: `Once there were ${i} cats in a tree. `.repeat(9) }),
    );
    await writeFile(text, lines.join("\n"));
    const output = join(folder, "calibrated");
    const how = ["--samples", "2", "--sequence-length", "64", "--calibration", text];
    const made = await pare(["compress", stories, "--method", "wanda", "--sparsity", "0.5", ...how, "-o", output]);
    expect(made).toMatchObject({ code: 0 });
    const measure = (data: string) => pare(["evaluate", output, "--data", data, "--windows", "1"]);
    expect((await measure(text)).stderr).toMatch(/warning: .*was calibrated on text of .*text\.jsonl, too/);
    expect((await measure("tinystories")).stderr).not.toMatch(/calibrated/);
  });

  test("an output that is there is replaced with --force alone", async () => {
    const output = join(folder, "taken");
    await mkdir(output);
    await writeFile(join(output, "mine.txt"), "mine");
    const args = ["compress", stories, "--method", "magnitude", "--sparsity", "0.25", "-o", output];
    await expectRefused(args, /taken: is not empty.*--force/);
    await expectRefused([...args, "--force"], /taken: holds other things than a checkpoint/);
    expect(await readdir(output)).toEqual(["mine.txt"]);
    await writeFile(join(output, "pare.json"), "{}");
    expect(await pare([...args, "--force"])).toMatchObject({ code: 0 });
    expect(await readdir(output)).toEqual(expect.arrayContaining(["config.json", "model.safetensors", "pare.json"]));
    expect(existsSync(join(output, "mine.txt"))).toBe(false);
  });
});

describe("stopping", () => {
  test("Ctrl-C leaves finished layers behind, which are no checkpoint", async () => {
    const place = await mkdtemp(join(folder, "stop-"));
    const many = await writeWindows(join(folder, "many.json"), 400, 256);
    const options = ["--method", "sparsegpt", "--sparsity", "0.5", "--calibration", many];
    let killed = false;
    const { code, stdout, stderr } = await pare(["compress", stories, ...options, "-o", join(place, "out")], {
      signal: "SIGINT",
      onStderr(kill) {
        if (!killed) kill();
        killed = true;
      },
    });
    expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
    expect(stderr).toMatch(
      /\nstopped; finished layers are kept in .*out\.partial\. The same command goes on from there\.\n$/,
    );
    expect(await readdir(place)).toEqual(["out.partial"]);
    expect((await pare(["inspect", join(place, "out.partial")])).code).toBe(2);
  });

  test("a reader that has seen enough is no failure", async () => {
    const child = spawn(process.execPath, [main, "list"], { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.destroy();
    let stderr = "";
    child.stderr.on("data", (text) => {
      stderr += text;
    });
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });
});

describe("what there is", () => {
  test("list", async () => {
    const { code, result } = await pareJson("list");
    expect(code).toBe(0);
    expect(Object.keys(result)).toEqual(["methods", "metrics", "tasks", "data", "families", "engines"]);
    const names = (kind: string) => result[kind].map(({ name }: { name: string }) => name);
    expect(names("methods")).toEqual(expect.arrayContaining(["magnitude", "wanda", "sparsegpt"]));
    expect(names("metrics")).toEqual(expect.arrayContaining(["perplexity", "jsd", "kl"]));
    expect(names("families")).toEqual(expect.arrayContaining(["llama", "mistral"]));
    expect(names("data")).toEqual(expect.arrayContaining(["wikitext2", "c4"]));
    const ofAcc = result.metrics.filter(({ name }: { name: string }) => name === "acc");
    expect(ofAcc.map(({ task }: { task: string }) => task)).toEqual(["choice", "last-word"]);
    for (const { name, summary, task } of result.metrics) {
      expect(summary).toMatch(/\S/);
      expect([null, "generate", "choice", "last-word"], name).toContain(task);
    }
    const { stdout: metrics } = await pare(["list", "metrics"]);
    for (const name of ["acc (choice)", "acc (last-word)", "exact_match (generate)", "jsd"]) {
      expect(metrics).toContain(`\n  ${name}  `);
    }
    const { stdout } = await pare(["list", "engines"]);
    expect(stdout).toMatch(/^engines\n {2}onednn {2}/);
  });

  test("doctor measures the engines and finds the data folder", async () => {
    const { code, stdout } = await pare(["doctor", "--json"], { env: { PARE_DATA: folder } });
    const result = JSON.parse(stdout);
    expect({ code, ok: result.ok, problems: result.problems }).toEqual({ code: 0, ok: true, problems: [] });
    expect(result.dataDirectory).toBe(folder);
    const found = new Map(result.engines.map((engine: { name: string }) => [engine.name, engine]));
    expect([...found.keys()]).toEqual(["onednn", "onnxruntime", "reference"]);
    expect(result.devices[0]).toBe("cpu");
    for (const { name, precision, version, gigaflops, problem } of result.engines) {
      if (problem === null) {
        expect(gigaflops).toBeGreaterThan(0);
        continue;
      }
      // oneDNN is not there, or the processor does not multiply bfloat16.
      expect({ name, version }).toEqual({ name: "onednn", version: null });
      expect(problem).toMatch(
        precision === "bfloat16" ? /apt install libdnnl|for this processor/ : /apt install libdnnl/,
      );
    }
  });

  test("doctor fails when something is missing", async () => {
    const missing = join(folder, "no-data");
    const { code, stdout, stderr } = await pare(["doctor", "--data-dir", missing]);
    expect(code).toBe(1);
    expect(stdout).toContain("GFLOP/s");
    expect(stderr).toBe(`error: the data folder ${missing} is not there: correct --data-dir or PARE_DATA\n`);
  });
});
