import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { RunError } from "../errors.js";
import { replaceFile } from "../files.js";
import { systemRefusal } from "./system-refusal.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-refusal-"));
});
afterAll(async () => {
  await chmod(folder, 0o700);
  await rm(folder, { recursive: true, force: true });
});

const refusalOf = (work: Promise<unknown>) => work.then(() => "done", systemRefusal);

it("says which file, why, and what to do", async () => {
  const file = join(folder, "file");
  await writeFile(file, "");
  expect(await refusalOf(replaceFile(join(folder, "none", "r.html"), ""))).toBe(
    `${join(folder, "none", "r.html")}: is not there; make the folder first, or correct the name`,
  );
  expect(await refusalOf(readFile(join(file, "x")))).toMatch(/file\/x: a part of this name is a file/);
});

it.skipIf(process.getuid?.() === 0)("says where there is no permission (skipped: root may do all)", async () => {
  await chmod(folder, 0o500);
  expect(await refusalOf(writeFile(join(folder, "new"), ""))).toMatch(/new: there is no permission for it/);
});

it("leaves all other errors alone", () => {
  expect(systemRefusal(new Error("a defect"))).toBeUndefined();
  expect(systemRefusal(new RunError("out: cannot be written", { cause: new Error() }))).toBeUndefined();
});
