import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { expect, it } from "vitest";

/** ARCHITECTURE.md's floors; what is not named stands on the floor of the verbs. */
const FLOORS: Readonly<Record<string, number>> = {
  checkpoint: 0,
  tokenizer: 0,
  data: 0,
  hub: 0,
  tensor: 0,
  text: 0,
  random: 0,
  "errors.ts": 0,
  "files.ts": 0,
  "progress.ts": 0,
  "thread.ts": 0,
  "turns.ts": 0,
  "version.ts": 0,
  engine: 1,
  model: 2,
  generation: 2,
  methods: 3,
  metrics: 3,
  calibration: 3,
  tasks: 3,
  study: 5,
  report: 5,
  analysis: 5,
  tracking: 5,
  "index.ts": 6,
  cli: 6,
};
const VERBS = 4;
const floorOf = (file: string) => FLOORS[file.split("/")[0]!] ?? VERBS;

const files = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((file) => /(?<!\.test)\.ts$/.test(file));

it.each(files)("%s imports nothing from a floor above its own", (file) => {
  const imports = [...readFileSync(join("src", file), "utf8").matchAll(/from "(\.[^"]+)\.js"/g)].map(
    ([, path]) => `${normalize(join(dirname(file), path!))}.ts`,
  );
  expect(imports.filter((path) => floorOf(path) > floorOf(file))).toEqual([]);
});

it("a family knows no engine, and an engine no family", () => {
  const imports = (folder: string) =>
    files.filter((file) => file.startsWith(folder)).map((file) => readFileSync(join("src", file), "utf8"));
  for (const text of imports("engine/")) expect(text).not.toMatch(/from ".*model\//);
  for (const text of imports("model/families/")) expect(text).not.toMatch(/from ".*engine\/(?!operations)/);
});
