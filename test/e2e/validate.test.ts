import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

let folder: string;
let task: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-validate-"));
  task = join(folder, "mine.yaml");
  await writeFile(join(folder, "mine.csv"), "question,answer,wrong\nWhere?,here,there\n");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const writeTask = (gold: string) =>
  writeFile(
    task,
    [
      "name: mine",
      "version: 1",
      "kind: choice",
      "summary: mine",
      "data: { test: [mine.csv] }",
      'prompt: "{{ question }}"',
      'choices: ["{{ answer }}", "{{ wrong }}"]',
      `gold: "${gold}"`,
      "metrics: [acc]",
    ].join("\n"),
  );

function pare(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], { env: { ...process.env, PARE_DATA: "" } }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}

test("a task and its first item", async () => {
  await writeTask("0");
  const { code, stdout } = await pare("validate", task);
  expect(code).toBe(0);
  for (const text of ["mine, version 1", "1 item", "Where?", "* here", "  there"]) expect(stdout).toContain(text);
});

test("--json", async () => {
  await writeTask("1");
  const { stdout } = await pare("validate", task, "--json");
  expect(JSON.parse(stdout)).toMatchObject({ name: "mine", items: 1, first: { prompt: "Where?", gold: 1 } });
});

test("a mistake is one line with the data's line and the task's line and key, and exit code 2", async () => {
  await writeTask("7");
  const { code, stdout, stderr } = await pare("validate", task);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toBe(
    `error: ${join(folder, "mine.csv")}: line 2: ${task}: line 8: gold: 7 is out of range: there are 2 choices, 0 to 1\n`,
  );
});

test("a built-in task comes with the package, and so do its stories", async () => {
  const { code, stdout } = await pare("validate", "stories-last-word");
  expect(code).toBe(0);
  expect(stdout).toContain("81 items");
});

test("list tasks", async () => {
  const { stdout } = await pare("list", "tasks", "--json");
  const { tasks } = JSON.parse(stdout) as { tasks: { name: string }[] };
  expect(tasks.map(({ name }) => name)).toEqual(expect.arrayContaining(["squad", "arc_easy", "lambada"]));
});
