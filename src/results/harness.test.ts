import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type EvaluateResult, evaluate } from "../evaluate.js";

/** What lm-evaluation-harness 0.4.13 itself wrote for the same model and tasks: see make.py beside them. */
const golden = fileURLToPath(new URL("../../test/fixtures/harness/", import.meta.url));
const model = fileURLToPath(new URL("../../assets/models/stories260K", import.meta.url));
const NAMES = ["choice", "partial", "last-word", "generate"];
const tasks = NAMES.map((name) => join(golden, `${name}.yaml`));

type Json = Record<string, unknown>;
interface Sample extends Json {
  readonly resps: readonly (readonly (string | readonly [logLikelihood: string, greedy: string])[])[];
}

const readJson = (file: string) => JSON.parse(readFileSync(file, "utf8")) as Record<string, Json>;
const readLines = (file: string) => {
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line) as Sample);
};

/** float32 programs that sum in other orders agree on log-likelihoods of some -20 to this. */
const TOLERANCE = 1e-4;

const work = mkdtempSync(join(tmpdir(), "pare-harness-"));
const output = join(work, "results");
afterAll(() => rmSync(work, { recursive: true }));

let result: EvaluateResult;
let folder: string;
let files: string[];
let results: Record<string, Json>;
beforeAll(async () => {
  result = await evaluate({ model, tasks, output });
  const [name = "", ...others] = readdirSync(join(output, "lm-eval"));
  expect(others).toEqual([]);
  folder = join(output, "lm-eval", name);
  files = readdirSync(folder).sort();
  results = readJson(join(folder, files.find((file) => file.startsWith("results_"))!));
});

const expected = readJson(join(golden, "results.json"));

describe("results_<date>.json", () => {
  it("has the harness's figures, standard errors and hashes", () => {
    for (const key of ["results", "group_subtasks", "versions", "n-shot", "higher_is_better", "n-samples"]) {
      expect(rounded(results[key]), key).toEqual(rounded(expected[key]));
    }
    expect(results["task_hashes"]).toEqual(expected["task_hashes"]);
  });

  it("has the harness's keys, but for what no result here has", () => {
    expect(Object.keys(results)).toEqual(Object.keys(expected));
    expect(missing(expected["config"]!, results["config"]!)).toEqual(["model_num_parameters", "model_revision"]);
    expect(missing(results["config"]!, expected["config"]!)).toEqual([]);
    for (const name of NAMES) {
      const [mine, theirs] = [results, expected].map(({ configs }) => configs![name] as Json) as [Json, Json];
      const functions = name === "generate" ? ["process_results"] : [];
      expect(missing(theirs, mine)).toEqual(["dataset_kwargs", ...functions]);
      expect(missing(mine, theirs)).toEqual([]);
      const plain = Object.keys(mine).filter((key) => !key.startsWith("doc_to_")); // those are texts, or lists of texts
      for (const key of plain) expect(shape(mine[key]), `${name}.${key}`).toBe(shape(theirs[key]));
      for (const key of ["output_type", "metric_list", "generation_kwargs", "target_delimiter", "description"]) {
        expect(mine[key], `${name}.${key}`).toEqual(theirs[key]);
      }
    }
  });

  it("has the harness's model tokens and lengths", () => {
    for (const key of ["tokenizer_eos_token", "tokenizer_bos_token", "eot_token_id", "max_length"]) {
      expect(results[key], key).toEqual(expected[key]);
    }
  });
});

describe("samples_<task>_<date>.jsonl", () => {
  it.each(NAMES)("%s: every key, argument, answer and hash is the harness's", (name) => {
    const theirs = readLines(join(golden, `samples_${name}.jsonl`));
    const mine = readLines(join(folder, files.find((file) => file.startsWith(`samples_${name}_`))!));
    expect(mine.map((sample) => Object.keys(sample))).toEqual(theirs.map((sample) => Object.keys(sample)));
    expect(mine.map(withoutNumbers)).toEqual(theirs.map(withoutNumbers));
    for (const [i, { resps }] of mine.entries()) {
      const [ours, others] = [resps, theirs[i]!.resps].map((side) => side.map(([response]) => Number(response![0])));
      for (const [choice, value] of (name === "generate" ? [] : ours!).entries()) {
        expect(Math.abs(value - others![choice]!), `${name} ${i} ${choice}`).toBeLessThan(TOLERANCE);
      }
    }
  });
});

describe("the set of files", () => {
  it("has one date, that of results.json, in the form of Python's datetime", () => {
    const date = `${result.date.slice(0, -1)}000`.replaceAll(":", "-");
    expect(date).toMatch(/^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}$/);
    expect(files).toEqual([`results_${date}.json`, ...NAMES.map((name) => `samples_${name}_${date}.jsonl`)].sort());
    expect(results["date"]).toBe(Date.parse(result.date) / 1000);
  });

  it("is replaced by the next run, and there is one for each model", async () => {
    const [task = ""] = tasks;
    const again = await evaluate({ model, base: model, tasks: [task], output, limit: 2 });
    const folders = readdirSync(join(output, "lm-eval"));
    expect(folders).toEqual([expect.stringMatching(/stories260K$/), expect.stringMatching(/stories260K__base$/)]);
    for (const name of folders) {
      const written = readdirSync(join(output, "lm-eval", name));
      expect(written).toHaveLength(2);
      const file = written.find((one) => one.startsWith("results_"))!;
      const { results: figures, "n-samples": samples, config } = readJson(join(output, "lm-eval", name, file));
      expect((figures!["choice"] as Json)["acc,none"]).toBe(
        (again.tasks!["choice"]!["acc"] as unknown as Json)["base"],
      );
      expect(samples).toEqual({ choice: { original: 4, effective: 2 } });
      expect(config!["limit"]).toBe(2);
    }
  });
});

/** Keys of `a` that `b` lacks. */
function missing(a: Json, b: Json): string[] {
  return Object.keys(a).filter((key) => !(key in b));
}

function shape(value: unknown): string {
  return Array.isArray(value) ? "list" : value === null ? "null" : typeof value;
}

/** Numbers to 12 digits: sums in another order differ in the last. */
function rounded(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (_, part: unknown) =>
    typeof part === "number" ? Number(part.toPrecision(12)) : part,
  );
}

/** A sample without its log-likelihoods, as far as it has any. */
function withoutNumbers({ resps, filtered_resps, ...sample }: Sample): Json {
  const isGenerated = typeof resps[0]![0] === "string";
  return isGenerated ? { ...sample, resps, filtered_resps } : { ...sample, greedy: resps.map(([one]) => one![1]) };
}
