import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { float32, makeFolder, safetensors, temporaryFolder } from "../../test/malformed/safetensors.js";
import { openCheckpoint } from "./open.js";
import { createCheckpointWriter } from "./write.js";

/**
 * A process that writes a checkpoint and kills itself (SIGKILL: nothing is cleaned up) before the n-th change that it would
 * make to the file system: once for every n until it comes through. Prints the number of changes.
 */
const CHILD = `
import fs from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
const [module, folder, out, how, killAt] = process.argv.slice(2);
let changes = 0;
const counted = (object, name) => {
  const original = object[name];
  object[name] = function (...args) {
    const reads = name === "open" && args[1] === "r";
    if (!reads && ++changes === Number(killAt)) process.kill(process.pid, "SIGKILL");
    return original.apply(this, args);
  };
};
const handle = await fs.open(process.execPath);
for (const name of ["write", "writeFile", "appendFile", "truncate"]) counted(Object.getPrototypeOf(handle), name);
await handle.close();
for (const name of ["mkdir", "open", "rename", "rm", "rmdir", "writeFile"]) counted(fs, name);
syncBuiltinESMExports();

const { openCheckpoint } = await import(module + "/checkpoint/open.js");
const { createCheckpointWriter } = await import(module + "/checkpoint/write.js");
const base = await openCheckpoint(folder);
const run = how === "commit" ? { run: async () => "this" } : {};
const writer = await createCheckpointWriter(base, out, { force: how === "force", ...run });
for (const [name, values] of [["a", Float32Array.of(7, 8)], ["d", Float32Array.of(9)]]) {
  await writer.write(name, values);
  await writer.commit(name);
}
await writer.finish({ "pare.json": "{}" });
console.log(changes);
`;

/** For some sixty processes on a busy machine. */
const SLOW = 600_000;

const f32 = (...values: number[]) => ({ dtype: "F32", shape: [values.length], bytes: float32(...values) });
const [ONE, TWO] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] as const;
const BASE = {
  "config.json": '{"model_type":"llama"}',
  "tokenizer.json": "{}",
  "model.safetensors.index.json": JSON.stringify({ weight_map: { a: ONE, b: ONE, c: TWO, d: TWO } }),
  [ONE]: safetensors({ a: f32(1, 2), b: f32(3) }),
  [TWO]: safetensors({ c: f32(4, 5), d: f32(6) }),
};
const WHOLE: Readonly<Record<string, string | Uint8Array>> = {
  ...BASE,
  [ONE]: safetensors({ a: f32(7, 8), b: f32(3) }),
  [TWO]: safetensors({ c: f32(4, 5), d: f32(9) }),
  "pare.json": "{}",
};
const OLD = { "config.json": '{"model_type":"old"}', "model.safetensors": safetensors({ old: f32(1) }) };

let compiled = "";
beforeAll(async () => {
  compiled = await mkdtemp(join(tmpdir(), "pare-compiled-"));
  await symlink(resolve("node_modules"), join(compiled, "node_modules"), "junction");
  const root = resolve(import.meta.dirname, "../..");
  const settings = {
    extends: join(root, "tsconfig.json"),
    compilerOptions: {
      noEmit: false,
      outDir: compiled,
      rootDir: join(root, "src"),
      typeRoots: [join(root, "node_modules/@types")],
    },
    include: [],
    files: ["open", "write"].map((name) => join(root, `src/checkpoint/${name}.ts`)),
  };
  await makeFolder(
    { "tsconfig.json": JSON.stringify(settings), "package.json": '{"type":"module"}', "child.mjs": CHILD },
    compiled,
  );
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  await promisify(execFile)(process.execPath, [compiler, "-p", compiled]);
});
afterAll(() => rm(compiled, { recursive: true, force: true }));

/** The same work in this process. */
async function runAgain(folder: string, out: string, force: boolean): Promise<void> {
  const base = await openCheckpoint(folder);
  try {
    const writer = await createCheckpointWriter(base, out, { force });
    await writer.write("a", Float32Array.of(7, 8));
    await writer.write("d", Float32Array.of(9));
    await writer.finish({ "pare.json": "{}" });
  } finally {
    await base.close();
  }
}

/** The changes counted by a child that came through, or undefined when it was killed. */
async function runChild(
  folder: string,
  out: string,
  how: "new" | "force" | "commit",
  killAt: number,
): Promise<number | undefined> {
  const args = [join(compiled, "child.mjs"), pathToFileURL(compiled).href, folder, out, how, `${killAt}`];
  try {
    return Number((await promisify(execFile)(process.execPath, args)).stdout);
  } catch (error) {
    if (error instanceof Error && "signal" in error && error.signal === "SIGKILL") return undefined;
    throw error;
  }
}

async function contentOf(folder: string): Promise<Record<string, string> | undefined> {
  const names = await readdir(folder).catch(() => undefined);
  if (names === undefined) return undefined;
  const pairs = names
    .sort()
    .map(async (name) => [name, (await readFile(join(folder, name))).toString("base64")] as const);
  return Object.fromEntries(await Promise.all(pairs));
}

function encoded(files: Readonly<Record<string, string | Uint8Array>>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).map(([name, data]) => [name, Buffer.from(data).toString("base64")]));
}

it.each([
  ["where there was nothing", false],
  ["that replaces an older one", true],
])(
  "killed before any change to the disk, an output %s is whole or not there, and a second run cleans up",
  async (_, force) => {
    const root = await temporaryFolder();
    const folder = await makeFolder(BASE, join(root, "base"));
    const whole = encoded(WHOLE);
    const old = encoded(OLD);
    const seen = { absent: 0, old: 0, whole: 0, aside: 0 };
    let killAt = 1;
    for (let changes: number | undefined; changes === undefined; killAt++) {
      const place = await makeFolder({}, join(root, `${killAt}`));
      const out = join(place, "out");
      if (force) await makeFolder(OLD, out);
      changes = await runChild(folder, out, force ? "force" : "new", killAt);

      const content = await contentOf(out);
      const partial = await contentOf(`${out}.partial`);
      const aside = (await readdir(place)).find((name) => name.startsWith("out.replaced-"));
      if (content === undefined) seen.absent++;
      else if (content["pare.json"] === undefined) {
        expect(content, `killed at ${killAt}`).toEqual(force ? old : undefined);
        seen.old++;
      } else {
        expect(content, `killed at ${killAt}`).toEqual(whole);
        seen.whole++;
      }
      if (force && content === undefined) {
        expect(await contentOf(join(place, aside ?? "")), `killed at ${killAt}`).toEqual(old);
        seen.aside++;
      }
      const opened = await openCheckpoint(`${out}.partial`).catch(() => undefined);
      await opened?.close();
      // It opens only in the moment between the last file and the rename, when nothing is missing any more.
      if (opened !== undefined) expect(Object.keys(partial ?? {})).toEqual(Object.keys(whole).sort());

      // The same command again: it clears up, and refuses only what the first run had finished.
      const again = runAgain(folder, out, force);
      if (content?.["pare.json"] !== undefined && !force) await expect(again).rejects.toThrow(/not empty.*--force/);
      else await again;
      expect(await contentOf(out), `killed at ${killAt}`).toEqual(whole);
      expect(await readdir(place), `killed at ${killAt}`).toEqual(["out"]);
    }
    // The kills fell before, between and after: otherwise this test would have tested nothing.
    expect(killAt).toBeGreaterThan(25);
    expect(seen.whole).toBeGreaterThan(2);
    expect(force ? seen.old : seen.absent).toBeGreaterThan(20);
    if (force) expect(seen.aside).toBeGreaterThan(0);
  },
  SLOW,
);

it(
  "killed before any change to the disk, a run that commits is gone on with: what it committed is there",
  async () => {
    const root = await temporaryFolder();
    const folder = await makeFolder(BASE, join(root, "base"));
    const whole = encoded(WHOLE);
    const seen = new Map<string, number>();
    let changes: number | undefined;
    for (let killAt = 1; changes === undefined; killAt++) {
      const place = await makeFolder({}, join(root, `${killAt}`));
      const out = join(place, "out");
      changes = await runChild(folder, out, "commit", killAt);
      const content = await contentOf(out);
      if (content !== undefined) expect(content, `killed at ${killAt}`).toEqual(whole);
      const partial = Object.keys((await contentOf(`${out}.partial`)) ?? {});
      const opened = await openCheckpoint(`${out}.partial`).catch(() => undefined);
      await opened?.close();
      if (opened !== undefined) expect(partial).toEqual(expect.arrayContaining(Object.keys(whole)));
      if (content === undefined) {
        const base = await openCheckpoint(folder);
        const writer = await createCheckpointWriter(base, out, { force: false, run: async () => "this" });
        const key = `${writer.done}`;
        seen.set(key, (seen.get(key) ?? 0) + 1);
        const values = new Map([
          ["a", Float32Array.of(7, 8)],
          ["d", Float32Array.of(9)],
        ]);
        for (const [name, value] of values) {
          if (writer.done.includes(name)) expect(await writer.read(name), `killed at ${killAt}`).toEqual(value);
          else await writer.write(name, value);
        }
        await writer.finish({ "pare.json": "{}" });
        await base.close();
        expect(await contentOf(out), `killed at ${killAt}`).toEqual(whole);
      }
      expect(await readdir(place), `killed at ${killAt}`).toEqual(content === undefined ? ["out"] : expect.anything());
    }
    // Killed before the first commit, between the two, and while the output was being finished.
    expect([...seen.keys()]).toEqual(expect.arrayContaining(["", "a", "a,d"]));
    expect(seen.get("a,d")).toBeGreaterThan(10);
  },
  SLOW,
);

it("killed while the lock is being written, a second run succeeds", async () => {
  const root = await temporaryFolder();
  const folder = await makeFolder(BASE, join(root, "base"));
  await writeFile(join(root, "out.partial.lock"), "");
  await runAgain(folder, join(root, "out"), false);
  expect(await readdir(root)).toEqual(["base", "out"]);
});
