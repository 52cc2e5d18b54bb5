import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HubServer, startHub, storiesFiles } from "../support/hub-server.js";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const readme = readFileSync(join(root, "README.md"), "utf8");
const blocks = [...readme.matchAll(/```(\w*)\n(.*?)```/gs)].map(([, language, text]) => ({ language, text: text! }));
const commands = blocks
  .filter(({ language }) => language === "")
  .flatMap(({ text }) => text.split("\n"))
  .map((line) => line.replace(/#.*/, "").trim())
  .filter((line) => line !== "");
const scripts = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).scripts as Record<string, string>;

/** In place of what `pare init` writes, whose models and data are larger. */
const SMALL_STUDY = `models: [MODEL]
methods: [magnitude]
sparsities: [0.3]
data: [{ source: test.txt, windows: 2 }]
sequence_length: 64
`;

// Every command of the README is run as it stands there, in a folder where ./SmolLM2-135M is the small model that is carried
// and the named data sets are stories.
describe("the README's commands", () => {
  let folder: string;
  let hub: HubServer;
  beforeAll(async () => {
    hub = await startHub({
      "HuggingFaceTB/SmolLM2-135M": {
        refs: { main: "a".repeat(40) },
        commits: { ["a".repeat(40)]: storiesFiles() },
      },
    });
    folder = mkdtempSync(join(root, ".tmp-readme-")); // inside the project, so that "pare" is found
    cpSync(join(root, "assets/models/stories260K"), join(folder, "SmolLM2-135M"), { recursive: true });
    cpSync(join(root, "assets/models/stories260K"), join(folder, "MODEL"), { recursive: true });
    const stories: string[] = JSON.parse(readFileSync(join(root, "assets/tinystories-excerpt.json"), "utf8"));
    mkdirSync(join(folder, "data/c4"), { recursive: true });
    mkdirSync(join(folder, "data/wikitext2-raw"));
    const lines = (texts: string[]) => texts.map((text) => `${JSON.stringify({ text })}\n`).join("");
    writeFileSync(join(folder, "data/c4/c4_demo.jsonl"), lines([...stories, ...stories]));
    writeFileSync(join(folder, "data/wikitext2-raw/wiki.test.raw"), stories.slice(0, 20).join("\n"));
    writeFileSync(join(folder, "text.jsonl"), lines([...stories, ...stories]));
    const [task] = blocks.filter(({ language }) => language === "yaml");
    writeFileSync(join(folder, "capitals.yaml"), task!.text);
    writeFileSync(join(folder, "capitals.jsonl"), '{"country": "France", "capital": ["Paris"]}\n');
    writeFileSync(join(folder, "test.txt"), stories.slice(0, 20).join("\n\n"));
    const asGguf = "compress MODEL --method magnitude --sparsity 0 --format gguf -o model-Q8_0.gguf".split(" ");
    await run(process.execPath, [join(root, "dist/cli/main.js"), ...asGguf], { cwd: folder });
    cpSync(join(folder, "model-Q8_0.gguf"), join(folder, "model-Q4_K_M.gguf"));
  });
  afterAll(async () => {
    await hub.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it("are found", () => {
    expect(commands.length).toBeGreaterThanOrEqual(7);
  });

  it.each(commands.filter((command) => command.startsWith("pare ")))("%s", async (command) => {
    const words = command.split(/\s+/).slice(1);
    const onHub = { HF_ENDPOINT: hub.url, HF_HUB_CACHE: join(folder, "hub"), HF_HUB_OFFLINE: "" };
    const env = { ...process.env, PARE_DATA: join(folder, "data"), ...onHub };
    const running = run(process.execPath, [join(root, "dist/cli/main.js"), ...words], { cwd: folder, env });
    if (words[0] === "serve") {
      await new Promise((resolve) => running.child.stdout!.once("data", resolve));
      running.child.kill("SIGINT"); // as it says itself
    }
    const { stdout } = await running;
    expect(stdout).not.toBe("");
    if (words[0] === "init") writeFileSync(join(folder, words[1]!), SMALL_STUDY);
  });

  it("and what stands beside the tasks' file is a row of its data", async () => {
    const [, row] = /test: .*# (\{.*\})/.exec(readme)!;
    writeFileSync(join(folder, "capitals.jsonl"), `${row}\n`);
    const args = [join(root, "dist/cli/main.js"), "validate", "capitals.yaml", "--json"];
    const { stdout } = await run(process.execPath, args, { cwd: folder });
    expect(JSON.parse(stdout)).toMatchObject({
      items: 1,
      first: { prompt: "The capital of France is", references: ["Paris"] },
    });
  });

  // `npm ci` cannot be run by what it installed; what follows it is what these scripts are.
  it.each(commands.filter((command) => command.startsWith("npm ")))("%s", (command) => {
    const [, script] = /^npm ci && npm (?:run )?(\w+)$/.exec(command)!;
    expect(scripts[script!]).toBeDefined();
  });

  it("npm run quickstart ends with a table of every method and target, and a report", {
    timeout: 300_000,
  }, async () => {
    const [, ...args] = scripts["quickstart"]!.split(" && node ")[1]!
      .replace("-o quickstart", `-o ${folder}/quickstart`)
      .split(" ");
    const { stdout } = await run(process.execPath, [join(root, "dist/cli/main.js"), ...args], { cwd: root });
    for (const method of ["magnitude", "wanda", "sparsegpt"]) {
      expect(stdout.match(new RegExp(`^${method} (50%|2:4).* 50\\.\\d%  `, "gm"))).toHaveLength(2);
    }
    const [, report] = /^report: (.*)$/m.exec(stdout)!;
    expect(readFileSync(report!, "utf8")).toMatch(/^<!doctype html>/i);
  });

  it("and its library example runs", async () => {
    const [example] = blocks.filter(({ language }) => language === "js");
    writeFileSync(join(folder, "example.mjs"), `${example!.text}\nconsole.log(jsd.mean, perplexity.ratio);`);
    const { stdout } = await run(process.execPath, ["example.mjs"], { cwd: folder });
    const [jsd, ratio] = stdout.trim().split(" ").map(Number);
    expect(jsd).toBeGreaterThan(0);
    expect(ratio).toBeGreaterThan(1);
  });
});
