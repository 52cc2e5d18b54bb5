import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { takeLock } from "./lock.js";
import { readLockFile } from "./lock-file.js";

let folder: string;
let path: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-lock-"));
  path = join(folder, "cell.lock");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const leave = (lock: Readonly<Record<string, unknown>>) => writeFile(path, JSON.stringify({ id: "other", ...lock }));

/** A process that has ended. */
const deadProcess = () => spawnSync(process.execPath, ["-e", ""]).pid;

async function expectTaken() {
  const lock = await takeLock(path);
  expect(lock).toBeDefined();
  expect(await readLockFile(path)).toMatchObject({ pid: process.pid, host: hostname() });
  await lock!.release();
  expect(await readdir(folder)).toEqual([]);
}

test("one holder at a time, and nothing is left", async () => {
  const lock = await takeLock(path);
  expect(await takeLock(path)).toBeUndefined();
  await lock!.release();
  await expectTaken();
});

test("of many at once one gets it", async () => {
  const taken = (await Promise.all(Array.from({ length: 20 }, () => takeLock(path)))).filter(
    (lock) => lock !== undefined,
  );
  expect(taken).toHaveLength(1);
  await taken[0]!.release();
});

test("a dead process's is taken over", async () => {
  await leave({ pid: deadProcess(), host: hostname() });
  await expectTaken();
});

test("also where its process id is used again", async () => {
  await leave({ pid: process.pid, host: hostname(), birth: "1" });
  await expectTaken();
});

test("of many that take over at once one gets it", async () => {
  await leave({ pid: deadProcess(), host: hostname() });
  const taken = (await Promise.all(Array.from({ length: 2 }, () => takeLock(path)))).filter(
    (lock) => lock !== undefined,
  );
  expect(taken.length).toBeLessThanOrEqual(1);
  for (const lock of taken) await lock.release();
  await expectTaken();
});

test("another machine's is its own while it shows signs of life", async () => {
  await leave({ pid: 1, host: "elsewhere" });
  expect(await takeLock(path)).toBeUndefined();
  const hourAgo = new Date(Date.now() - 3_600_000);
  await utimes(path, hourAgo, hourAgo);
  await expectTaken();
});

test.each(["", "{", "[]", '{"pid":-1}', '{"pid":1,"host":"a"}'])(
  "what is no lock, %j, is no hindrance",
  async (text) => {
    await writeFile(path, text);
    await expectTaken();
  },
);

test("a lock that another took meanwhile is not released", async () => {
  const lock = await takeLock(path);
  await leave({ pid: process.pid, host: hostname() });
  await lock!.release();
  expect(JSON.parse(await readFile(path, "utf8")).id).toBe("other");
  await rm(path);
});

test("what a process wrote aside and died over is removed, and nothing that is being written", async () => {
  const aside = (owner: Readonly<Record<string, unknown>> | undefined, name: string) =>
    writeFile(`${path}.${name}`, owner ? JSON.stringify({ id: name, ...owner }) : "");
  await aside({ pid: deadProcess(), host: hostname() }, "dead");
  await aside({ pid: process.pid, host: hostname() }, "alive");
  await aside(undefined, "begun");
  const lock = await takeLock(path);
  expect((await readdir(folder)).sort()).toEqual(["cell.lock", "cell.lock.alive", "cell.lock.begun"]);
  await lock!.release();
  for (const name of ["alive", "begun"]) await rm(`${path}.${name}`);
});
