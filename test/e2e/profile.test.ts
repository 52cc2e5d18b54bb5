import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { pare, stories } from "./pare.js";
import { writeWindows } from "./windows.js";

let folder: string;
/** 4 windows of 32 token ids. */
let windows: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-profile-"));
  windows = await writeWindows(join(folder, "windows.json"), 4, 32);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("--profile says where the time went", async () => {
  const options = ["--method", "sparsegpt", "--sparsity", "0.5", "--calibration", windows, "--samples", "3"];
  const compress = ["compress", stories, ...options, "-o", join(folder, "profiled")];
  const result = JSON.parse((await pare([...compress, "--profile", "--json"])).stdout);
  const { limit, stages } = result.profile;
  expect(limit).toBeGreaterThan(0);
  type Stage = Record<"stage" | "seconds" | "operations" | "gigaflops" | "share" | "bytes", number>;
  for (const { stage, seconds, operations, gigaflops, share } of stages as Stage[]) {
    expect(seconds).toBe(result.seconds[stage]);
    expect(gigaflops).toBeCloseTo(operations / seconds / 1e9, 9);
    expect(share).toBeCloseTo(gigaflops / limit, 9);
  }
  const of = (name: string) => stages.find(({ stage }: { stage: string }) => stage === name);
  // Four of five blocks, 45,312 weights each, for 96 tokens: the last one's output is nobody's input.
  const attention = 4 * 64 * 3 * ((32 * 33) / 2);
  expect(of("propagate").operations).toBe(4 * (96 * 2 * 45_312 + attention));
  // The weights of the blocks and their norms, in float32 as they are stored.
  expect(of("read").bytes).toBe(5 * 4 * (45_312 + 2 * 64));
  expect(of("compress").operations).toBeGreaterThan(0);

  const { stdout } = await pare(["evaluate", stories, "--data", windows, "--profile"]);
  for (const stage of ["embed", "read", "blocks", "head", "figures", "all"]) {
    expect(stdout).toMatch(new RegExp(`^${stage} +\\d`, "m"));
  }
  expect(stdout).toMatch(/^blocks +\S+ +\S+ +\d+% +\S+ MiB$/m);
});
