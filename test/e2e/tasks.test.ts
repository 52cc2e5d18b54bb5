import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectRefused, pare, stories } from "./pare.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-tasks-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const GENERATE = {
  name: "mine",
  version: 1,
  kind: "generate",
  summary: "mine",
  data: { test: ["mine.jsonl"] },
  prompt: "{{ question }}",
  target: "{{ answer }}",
  max_new_tokens: 4,
  metrics: ["f1"],
};

const ROW = { question: "Once upon a time there was a little", answer: "girl" };

/** A task of one's own in a folder of its own; the path of its file. JSON is YAML too. */
async function writeTask(changes: object, lines: readonly string[] = [JSON.stringify(ROW)]): Promise<string> {
  const place = await mkdtemp(join(folder, "task-"));
  await writeFile(join(place, "mine.jsonl"), lines.map((line) => `${line}\n`).join(""));
  await writeFile(join(place, "mine.yaml"), JSON.stringify({ ...GENERATE, ...changes }, null, 1));
  return join(place, "mine.yaml");
}

/** Refused with one line that says this, and without a trace of the output folder. */
async function expectTaskRefused(file: string, message: string | RegExp, ...more: string[]) {
  const output = join(folder, "never");
  await expectRefused(["evaluate", stories, "--task", file, "-o", output, ...more], message);
  expect(existsSync(output)).toBe(false);
}

describe("a mistake in the data is named by file and line, in the task by line and key", () => {
  const many = Array.from({ length: 1000 }, () => JSON.stringify(ROW));

  test("a broken line", async () => {
    const file = await writeTask({}, many.with(811, '{"question": "Once'));
    await expectTaskRefused(file, /mine\.jsonl: line 812: /);
  });
  test("a missing field", async () => {
    const file = await writeTask({}, many.with(811, '{"answer": "girl"}'));
    await expectTaskRefused(file, /mine\.jsonl: line 812: .*mine\.yaml: line 11: prompt: .*there is no question/);
  });
  test("an empty target", async () => {
    const file = await writeTask({}, many.with(811, '{"question": "Once", "answer": ""}'));
    await expectTaskRefused(file, /mine\.jsonl: line 812: .*mine\.yaml: line 12: target: it is empty/);
  });
  test("a template that names an unknown field", async () => {
    const file = await writeTask({ prompt: "Q: {{ questoin }}" });
    await expectTaskRefused(file, /line 11: prompt: .*no questoin \(did you mean question\?\)/);
  });
  test("a template that loops for ever", async () => {
    const prompt = "{% for i in range(9999999999) %}{{ i }}{% endfor %}";
    await expectTaskRefused(await writeTask({ prompt }), /line 11: prompt: the template/);
  });
  test("a misspelt key", async () => {
    await expectTaskRefused(
      await writeTask({ max_new_tokns: 4 }),
      /mine\.yaml: line 17: max_new_tokns: a task of kind generate has no such key here \(did you mean max_new_tokens\?\)/,
    );
  });
  test("a misspelt metric", async () => {
    await expectTaskRefused(
      await writeTask({ metrics: ["rouge"] }),
      /line 15: metrics\[0\]: "rouge" is not one of .*did you mean rouge1\?/,
    );
  });
  test("an answer that is as long as the model", async () => {
    await expectTaskRefused(
      await writeTask({ max_new_tokens: 512 }),
      /line 13: max_new_tokens: 512 leaves no room for the prompt: the model takes 512 tokens/,
    );
  });

  test("what was scored before is kept", async () => {
    const output = join(folder, "kept");
    const file = await writeTask({}, many.slice(0, 3));
    const args = ["evaluate", stories, "--task", file, "-o", output];
    expect(await pare(args)).toMatchObject({ code: 0 });
    const before = await contents(output);
    await writeFile(file.replace("yaml", "jsonl"), '{"question": "Once\n');
    await expectRefused(args, /mine\.jsonl: line 1: /);
    expect(await contents(output)).toEqual(before);
  });
});

async function contents(directory: string): Promise<Record<string, string>> {
  const files = (await readdir(directory, { recursive: true, withFileTypes: true })).filter((file) => file.isFile());
  const paths = files.map(({ parentPath, name }) => join(parentPath, name)).sort();
  return Object.fromEntries(await Promise.all(paths.map(async (path) => [path, await readFile(path, "utf8")])));
}

describe("a mistake in the command shows before the work", () => {
  const STORIES = "stories-last-word";

  test("an unknown task", () =>
    expectTaskRefused("storys-last-word", /"storys-last-word": .*\(did you mean stories-last-word\?\)/));
  test("a task file that is not there", () => expectTaskRefused("no.yaml", "no.yaml: no such task file"));
  test("the same task twice", () =>
    expectTaskRefused(STORIES, "the task stories-last-word is there twice", "--task", STORIES));
  test("two tasks of one name", async () =>
    expectTaskRefused(await writeTask({}), "the task mine is there twice", "--task", await writeTask({})));
  test("--chat on without a template", () =>
    expectTaskRefused(STORIES, /--chat on: .*no chat template/, "--chat", "on"));
  test("--system-prompt without a template", () =>
    expectTaskRefused(STORIES, /--system-prompt: .*no chat template/, "--system-prompt", "Be brief."));
  test("--system-prompt without a chat", () =>
    expectTaskRefused(STORIES, "leave out --chat off", "--system-prompt", "Be brief.", "--chat", "off"));
  test("--min-score of a metric that is not measured", () =>
    expectTaskRefused(
      STORIES,
      `--min-score ${STORIES}.f2: not measured (did you mean ${STORIES}.f1?); measured are ${STORIES}.exact_match, `,
      "--min-score",
      `${STORIES}.f2=0.5`,
    ));
  test("--min-score that is none", () =>
    expectTaskRefused(STORIES, "Give TASK.METRIC=SCORE", "--min-score", `${STORIES}.f1`));
  test("--top-p without --temperature", () => expectTaskRefused(STORIES, "add --temperature", "--top-p", "0.9"));
  test("--top-k at temperature 0", () =>
    expectTaskRefused(STORIES, "add --temperature", "--top-k", "3", "--temperature", "0"));
  test("--top-p that is no share", () =>
    expectTaskRefused(STORIES, "--top-p 90: give a probability", "--top-p", "90", "--temperature", "1"));
  test("--limit 0", () => expectTaskRefused(STORIES, "'--limit <n>' argument '0' is invalid", "--limit", "0"));
  test("--memory abc", () =>
    expectTaskRefused(STORIES, "'--memory <size>' argument 'abc' is invalid. Give a size", "--memory", "abc"));
  test("--max-new-tokens beyond the model", () =>
    expectTaskRefused(STORIES, /--max-new-tokens: 9999 leaves no room .* 512 tokens/, "--max-new-tokens", "9999"));
  test("more examples than there are", () =>
    expectTaskRefused(STORIES, "not enough rows for 90 examples", "--few-shot", "90"));
  test("an option of text without text", () =>
    expectTaskRefused(STORIES, "--windows is of text: add --data", "--windows", "3"));
  test("an option of tasks without a task", () =>
    expectRefused(["evaluate", stories, "--data", "tinystories", "--limit", "3"], "--limit is of tasks: add --task"));

  test("-o that holds other things leaves them alone", async () => {
    const output = join(folder, "other");
    await mkdir(output);
    await writeFile(join(output, "results.json"), "mine");
    await expectRefused(["evaluate", stories, "--task", STORIES, "-o", output], /other: the folder holds other things/);
    expect(await contents(output)).toEqual({ [join(output, "results.json")]: "mine" });
  });
  test("-o that is a file", async () => {
    const output = join(folder, "file");
    await writeFile(output, "mine");
    await expectRefused(["evaluate", stories, "--task", STORIES, "-o", output], /--output .*file: /);
    expect(await readFile(output, "utf8")).toBe("mine");
  });
});

describe("a prompt that is longer than the model", () => {
  const story = "Once upon a time there was a little girl. ";

  test("is cut from the left, counted and reported", async () => {
    const long = { ...ROW, question: story.repeat(200) + ROW.question };
    const file = await writeTask({}, [JSON.stringify(ROW), JSON.stringify(long)]);
    const output = join(folder, "cut");
    const { code, stdout } = await pare(["evaluate", stories, "--task", file, "--json", "-o", output]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).taskRecords.mine).toMatchObject({ items: 2, truncated: 1 });
    const items = (await readFile(join(output, "items.jsonl"), "utf8"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(items[0].truncated).toBe(0);
    expect(items[1].truncated).toBeGreaterThan(1000);

    const { stdout: text } = await pare(["evaluate", stories, "--task", file, "-o", output]);
    expect(text).toContain("1 prompt cut from the left to fit the model");
  });

  test("gives the answer that its end alone gives", async () => {
    // Both are cut to the model's length, and there they are equal.
    const rows = [100, 200].map((times) => JSON.stringify({ ...ROW, question: story.repeat(times) + ROW.question }));
    const output = join(folder, "ends");
    expect(await pare(["evaluate", stories, "--task", await writeTask({}, rows), "-o", output])).toMatchObject({
      code: 0,
    });
    const [one, other] = (await readFile(join(output, "items.jsonl"), "utf8"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(one.compressed.ids).toEqual(other.compressed.ids);
  });
});

describe("every kind of task", () => {
  const choices = {
    kind: "choice",
    choices: ["{{ answer }}", "{{ wrong }}"],
    gold: "0",
    target: undefined,
    max_new_tokens: undefined,
    metrics: ["acc", "acc_norm", "acc_bytes"],
  };

  test("a choice between what a story says and what it does not", async () => {
    const rows = [
      { question: "Once upon a", answer: "time", wrong: "thermodynamics" },
      { question: "One day, the little girl went to the", answer: "park", wrong: "xxqqzz" },
    ];
    const file = await writeTask(
      choices,
      rows.map((row) => JSON.stringify(row)),
    );
    const { code, stdout } = await pare(["evaluate", stories, "--base", stories, "--task", file, "--json"]);
    expect(code).toBe(0);
    const { tasks } = JSON.parse(stdout);
    // A model against itself: nothing differs.
    for (const metric of ["acc", "acc_norm", "acc_bytes"]) {
      expect(tasks.mine[metric]).toMatchObject({
        items: 2,
        base: 1,
        compressed: 1,
        difference: 0,
        p: 1,
        flips: { rightToWrong: 0, wrongToRight: 0 },
      });
    }
    expect(tasks.mine.targetText).toMatchObject({ perplexity: { ratio: 1 }, jsd: { mean: 0 }, sameTop1: { mean: 1 } });
  });

  test("the last word of a passage, and a gate that is missed", async () => {
    const task = { kind: "last-word", max_new_tokens: undefined, metrics: ["acc"] };
    const rows = [
      { question: "Once upon a", answer: "time" },
      { question: "Once upon a", answer: "mountain" },
    ];
    const file = await writeTask(
      task,
      rows.map((row) => JSON.stringify(row)),
    );
    const gate = (score: string) => ["evaluate", stories, "--task", file, "--min-score", `mine.acc=${score}`, "--json"];
    const met = await pare(gate("0.5"));
    expect(met.code).toBe(0);
    expect(JSON.parse(met.stdout)).toMatchObject({
      tasks: { mine: { acc: { items: 2, base: null, compressed: 0.5, p: null } } },
      gates: { passed: true, "mine.acc": { passed: true, limit: 0.5, value: 0.5 } },
    });
    const missed = await pare(gate("0.51"));
    expect(missed.code).toBe(3);
    expect(missed.stderr).toBe("gate missed: mine.acc is 0.5000, limit 0.51\n");
    expect(JSON.parse(missed.stdout).gates.passed).toBe(false);
  });

  test("draws are repeatable by their seed", async () => {
    const file = await writeTask({}, [JSON.stringify(ROW), JSON.stringify(ROW), JSON.stringify(ROW)]);
    const draw = async (seed: string) => {
      const output = await mkdtemp(join(folder, "draw-"));
      const options = ["--temperature", "1.5", "--seed", seed, "--max-new-tokens", "20", "-o", output];
      expect(await pare(["evaluate", stories, "--task", file, ...options])).toMatchObject({ code: 0 });
      const lines = (await readFile(join(output, "items.jsonl"), "utf8")).trim().split("\n");
      return lines.map((line) => JSON.parse(line).compressed.text);
    };
    const first = await draw("1");
    expect(await draw("1")).toEqual(first);
    expect(await draw("2")).not.toEqual(first);
    expect(new Set(first).size).toBe(3); // equal prompts have random numbers of their own
  });
});
