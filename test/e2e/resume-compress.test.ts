import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectRefused, pare, stories } from "./pare.js";
import { writeWindows } from "./windows.js";

/** How often a compression is killed; 20 where time does not matter. */
const KILLS = Number(process.env["PARE_COMPRESS_KILLS"] ?? 4);

/** Milliseconds: a machine may have much else to do. */
const SLOW = 120_000;

let folder: string;
let windows: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-resume-"));
  windows = await writeWindows(join(folder, "windows.json"), 64, 256);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const command = (method: string, output: string, ...more: string[]) => [
  "compress",
  stories,
  ...["--method", method, "--sparsity", "0.5", "--calibration", windows, "-o", output],
  ...more,
];

/** Every file of a checkpoint, but what pare.json says of having been gone on with. */
async function contentOf(output: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const name of await readdir(output)) files[name] = (await readFile(join(output, name))).toString("base64");
  const { resumedAt, ...record } = JSON.parse(await readFile(join(output, "pare.json"), "utf8"));
  return { ...files, "pare.json": JSON.stringify(record) };
}

const layersOf = (stderr: string) => [...stderr.matchAll(/layer (\d)\/5/g)].map(([, layer]) => Number(layer));

describe.each(["sparsegpt", "wanda"])("%s", (method) => {
  let whole: string;
  let milliseconds: number;
  beforeAll(async () => {
    whole = join(folder, `${method}-whole`);
    const begin = performance.now();
    expect(await pare(command(method, whole))).toMatchObject({ code: 0 });
    milliseconds = performance.now() - begin;
  }, SLOW);

  test(`killed ${KILLS} times at random, it ends in the same bytes`, { timeout: SLOW * KILLS }, async () => {
    const expected = await contentOf(whole);
    for (let kill = 0; kill < KILLS; kill++) {
      const place = await mkdtemp(join(folder, "killed-"));
      const output = join(place, "out");
      // Reading the command line takes a third of the time: nothing is there to be killed before.
      const moment = performance.now() + (0.2 + 0.8 * Math.random()) * milliseconds;
      const killed = await pare(command(method, output), { killWhen: () => performance.now() > moment });
      const done = layersOf(killed.stderr).at(-1) ?? 0;
      if (killed.code === 0) continue; // it was faster this time
      if (!existsSync(output)) {
        await expectRefused(["inspect", `${output}.partial`], /out\.partial/);
        const { code, stderr } = await pare(command(method, output));
        expect({ code, stderr }).toMatchObject({ code: 0 });
        if (done > 0) expect(stderr).toMatch(/^continuing at layer \d of 5$/m);
        for (let layer = 1; layer <= done; layer++) expect(layersOf(stderr)).not.toContain(layer);
      }
      expect(await contentOf(output)).toEqual(expected);
      expect(await readdir(place)).toEqual(["out"]);
    }
  });

  test("killed after every layer, it ends in the same bytes and says so", { timeout: SLOW }, async () => {
    const output = join(folder, `${method}-steps`);
    const noted: string[] = [];
    for (let layer = 1; layer <= 4; layer++) {
      const { code, stderr } = await pare(command(method, output), {
        onStderr(kill, text) {
          if (text.includes(`layer ${layer}/5`)) kill();
        },
      });
      expect(code).toBe(null);
      noted.push(...(stderr.match(/continuing at layer \d/g) ?? []));
    }
    const { code, stderr, stdout } = await pare(command(method, output, "--json"));
    expect(code).toBe(0);
    expect(stderr).toMatch(/^continuing at layer 5 of 5\n/);
    expect(noted).toEqual([2, 3, 4].map((layer) => `continuing at layer ${layer}`));
    expect(await contentOf(output)).toEqual(await contentOf(whole));
    const { resumedAt } = JSON.parse(await readFile(join(output, "pare.json"), "utf8"));
    expect(resumedAt).toEqual([1, 2, 3, 4]);
    expect(JSON.parse(stdout).seconds).toMatchObject({ resume: expect.any(Number), calibrate: expect.any(Number) });
  });
});

describe("what another command left", () => {
  const stopAfterLayer2 = (output: string) =>
    pare(command("wanda", output), { onStderr: (kill, text) => void (text.includes("layer 2/5") && kill()) });

  test.each([
    ["another sparsity", ["--sparsity", "0.25"]],
    ["other windows", ["--samples", "63"]],
    ["other weights", ["--skip", "model.layers.0"]],
    ["another method", ["--method", "magnitude"]],
    ["another engine", ["--engine", "reference", "--samples", "2"]],
  ])("is not gone on with: %s", async (_, options) => {
    const place = await mkdtemp(join(folder, "other-"));
    const output = join(place, "out");
    await stopAfterLayer2(output);
    expect(await readdir(place)).toEqual(["out.partial", "out.partial.lock"]);
    const { code, stderr } = await pare(command("wanda", output, ...options));
    expect(code).toBe(0);
    expect(stderr).not.toContain("continuing");
    expect(stderr).toMatch(/^.*out\.partial: was begun with other options, data or versions; beginning anew$/m);
    expect(layersOf(stderr)).toEqual([1, 2, 3, 4, 5]);
    expect(await readdir(place)).toEqual(["out"]);
  });

  test("stays there when the next command is wrong", async () => {
    const place = await mkdtemp(join(folder, "wrong-"));
    const output = join(place, "out");
    await stopAfterLayer2(output);
    await writeFile(join(place, "none.json"), "[]");
    await expectRefused(command("wanda", output, "--calibration", join(place, "none.json")), /none\.json/);
    await expectRefused(command("wanda", output, "--sparsity", "2"), /--sparsity 2/);
    const { code, stderr } = await pare(command("wanda", output));
    expect(code).toBe(0);
    expect(stderr).toMatch(/^continuing at layer \d of 5\n/);
  });
});
