import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { carriedModel } from "../../test/support/carried.js";
import type { Checkpoint } from "../checkpoint/checkpoint.js";
import { openCheckpoint } from "../checkpoint/open.js";
import { openModel } from "../model/model.js";
import { loadTokenizer } from "../tokenizer/tokenizer.js";
import { prepareTasks } from "./prepare.js";

let folder: string;
let checkpoint: Checkpoint;
let asks: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-prepare-"));
  await cp(carriedModel, join(folder, "model"), { recursive: true });
  const template = "{% for m in messages %}[{{ m.content }}]{% endfor %}";
  await writeFile(join(folder, "model", "chat_template.jinja"), template);
  checkpoint = await openCheckpoint(join(folder, "model"));
  await writeFile(join(folder, "data.jsonl"), '{"q": "Who is she?", "a": "Lily"}\n');
  asks = join(folder, "asks.yaml");
  await writeFile(
    asks,
    'name: asks\nversion: 1\nkind: generate\nsummary: "questions"\ndata: { test: [data.jsonl] }\n' +
      'prompt: "{{ q }}"\ntarget: "{{ a }}"\nmax_new_tokens: 4\nmetrics: [exact_match]\n',
  );
});
afterAll(async () => {
  await checkpoint.close();
  await rm(folder, { recursive: true });
});

test.each([
  ["auto", true, false],
  ["on", true, true],
  ["off", false, false],
] as const)(
  "--chat %s: what asks goes through the template (%s), a text to go on with does not (%s)",
  async (chat, question, completion) => {
    const tokenizer = (await loadTokenizer(join(folder, "model")))!;
    const models = { model: openModel(checkpoint), base: undefined, tokenizer };
    const { tasks } = await prepareTasks(models, { tasks: [asks, "stories-last-word"], limit: 1, chat });
    expect(tasks.map((one) => one.chat)).toEqual([question, completion]);
    expect(tasks[0]!.prompts[0]![0]!.text).toBe(question ? "[Who is she?]" : "Who is she?");
  },
);
