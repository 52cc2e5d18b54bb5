import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { engineCases } from "../support/engines.js";
import { expectRefused, pare, stories } from "./pare.js";
import { writeWindows } from "./windows.js";

let folder: string;
let windows: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-onednn-"));
  windows = await writeWindows(join(folder, "windows.json"), 4, 64);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("results say how many threads computed", async () => {
  const of = async (...options: string[]) => {
    const { stdout } = await pare([
      "evaluate",
      stories,
      "--data",
      windows,
      "--engine",
      "onnxruntime",
      "--json",
      ...options,
    ]);
    return JSON.parse(stdout).environment.threads;
  };
  expect(await of("--threads", "1")).toBe(1);
  expect(await of()).toBe(availableParallelism());
});

test("onnxruntime tells nobody what it runs, and leaves nothing behind", async () => {
  const places = { HOME: join(folder, "home"), TMPDIR: join(folder, "tmp") };
  for (const place of Object.values(places)) await mkdir(place);
  // On such machines it would be silent anyway.
  const env = { ...places, XDG_CACHE_HOME: "", CI: "", GITHUB_ACTIONS: "", ORT_DISABLE_TELEMETRY: undefined };
  const { code } = await pare(["evaluate", stories, "--data", windows, "--engine", "onnxruntime"], { env });
  expect(code).toBe(0);
  for (const place of Object.values(places)) expect(await readdir(place, { recursive: true })).toEqual([]);
});

for (const { engine, precision, title, isSkipped } of engineCases) {
  if (engine !== "onednn") continue;
  describe.skipIf(isSkipped)(title, () => {
    // oneDNN's threads are gone before the process is: a crash would change the exit code.
    test("compresses, evaluates, and ends without a crash", async () => {
      const output = join(folder, precision);
      const how = ["--engine", "onednn", "--precision", precision, "--json"];
      const calibration = ["--method", "sparsegpt", "--sparsity", "0.5", "--calibration", windows];
      const compressed = await pare(["compress", stories, "-o", output, ...calibration, ...how]);
      expect({ code: compressed.code, stderr: compressed.stderr }).toMatchObject({ code: 0 });
      expect(JSON.parse(compressed.stdout).sparsity).toBeCloseTo(0.5, 2);
      const { environment } = JSON.parse(await readFile(join(output, "pare.json"), "utf8"));
      expect(environment).toMatchObject({ engine: "onednn", precision });
      const evaluated = await pare(["evaluate", output, "--base", stories, "--data", windows, ...how]);
      expect({ code: evaluated.code }).toEqual({ code: 0 });
      expect(JSON.parse(evaluated.stdout).environment).toMatchObject({ engine: "onednn", precision });
    });

    test("fails as any engine does", () =>
      expectRefused(
        ["evaluate", join(folder, "missing"), "--data", windows, "--engine", "onednn", "--precision", precision],
        /missing/,
      ));
  });
}

for (const { device, title, isSkipped } of engineCases) {
  if (device === "cpu") continue;
  test.skipIf(isSkipped)(`--device reaches the engine: ${title}`, { timeout: 120_000 }, async () => {
    const output = join(folder, device);
    const how = ["--device", device, "--json"];
    const compressed = await pare([
      ...["compress", stories, "-o", output, "--method", "sparsegpt", "--sparsity", "0.5"],
      ...["--calibration", windows, ...how],
    ]);
    expect({ code: compressed.code }).toEqual({ code: 0 });
    expect(JSON.parse(await readFile(join(output, "pare.json"), "utf8")).environment).toMatchObject({ device });
    const evaluated = await pare(["evaluate", output, "--base", stories, "--data", windows, ...how]);
    const onCpu = await pare(["evaluate", output, "--base", stories, "--data", windows, "--json"]);
    const [{ environment, jsd }, cpu] = [evaluated, onCpu].map(({ stdout }) => JSON.parse(stdout));
    expect(environment).toMatchObject({ engine: "onnxruntime", device });
    expect(jsd.mean / cpu.jsd.mean).toBeCloseTo(1, 3);
  });
}

test("a device that is not there costs nothing that was done before", async () => {
  const output = join(folder, "kept");
  const options = ["--method", "magnitude", "--sparsity", "0.5", "-o", output, "--device", "cuda"];
  const here = engineCases.find(({ device }) => device === "cuda");
  if (here && !here.isSkipped) return; // a machine that has it is no place to test this
  await expectRefused(["compress", stories, ...options], /^error: --device cuda: /);
  await expectRefused(["evaluate", stories, "--data", windows, "--device", "cuda"], /^error: --device cuda: /);
});

test("a precision that the engine does not have", () =>
  expectRefused(
    ["evaluate", stories, "--data", windows, "--engine", "onnxruntime", "--precision", "bfloat16"],
    /--precision bfloat16: the engine onnxruntime computes in float32 on cpu[^;]*; use --engine onednn/,
  ));
