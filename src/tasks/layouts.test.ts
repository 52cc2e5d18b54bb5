import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadItems } from "./items.js";
import { loadTask } from "./load.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-layouts-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function parquetOf(row: Readonly<Record<string, unknown>>): Uint8Array {
  const columnData = Object.entries(row).map(([name, value]) => ({
    name,
    data: [value],
    ...(typeof value === "object" ? { type: "JSON" as const } : {}),
  }));
  return new Uint8Array(parquetWriteBuffer({ columnData }));
}

/**
 * A row as Hugging Face's data set cards show it, and what lm-evaluation-harness's task makes of it (doc_to_text,
 * doc_to_choice, doc_to_target); for tasks that it lacks, the prompt of the same task's other file.
 */
const layouts: [task: string, path: string, content: object | string, expected: object][] = [
  [
    "squad",
    "squad/plain_text/validation-00000-of-00001.parquet",
    {
      id: "1",
      title: "T",
      context: "The sky is blue.",
      question: "What colour?",
      answers: { text: ["blue", "Blue"], answer_start: [11, 11] },
    },
    { prompt: "Context: The sky is blue.\nQuestion: What colour?\nAnswer:", references: ["blue", "Blue"] },
  ],
  [
    "triviaqa",
    "trivia_qa/rc.nocontext/validation-00000-of-00001.parquet",
    {
      question: "Who was next British Prime Minister after Arthur Balfour?",
      answer: { aliases: ["Sir Henry Campbell-Bannerman", "C-B"], value: "Campbell-Bannerman" },
    },
    {
      prompt: "Question: Who was next British Prime Minister after Arthur Balfour?\nAnswer:",
      chat: "Question: Who was next British Prime Minister after Arthur Balfour?\nAnswer with a short phrase.",
      references: ["Campbell-Bannerman", "Sir Henry Campbell-Bannerman", "C-B"],
    },
  ],
  [
    "nq_open",
    "nq_open/nq_open/validation-00000-of-00001.parquet",
    { question: "when did it end", answer: ["1945", "in 1945"] },
    { prompt: "Answer these questions:\n\nQ: when did it end?\nA:", references: ["1945", "in 1945"] },
  ],
  [
    "xsum",
    "xsum/default/test/0000.parquet",
    { document: "It rained.\nA lot.", summary: "Rain.", id: "1" },
    { prompt: "It rained.\nA lot.\n\n===\n\nWrite a summary of the text above :\nSummary:", references: ["Rain."] },
  ],
  [
    "samsum",
    "samsum/test.csv",
    'id,dialogue,summary\n1,"Ann: Hi\nTom: Hi, Ann",They greet.\n',
    {
      prompt: "Summarize: Ann: Hi\nTom: Hi, Ann\nSummary:",
      chat: "Summarize: Ann: Hi\nTom: Hi, Ann",
      references: ["They greet."],
    },
  ],
  [
    "cnn_dailymail",
    "cnn_dailymail/3.0.0/test-00000-of-00001.parquet",
    { article: "(CNN)It rained.", highlights: "Rain .\nMore rain .", id: "1" },
    { prompt: "Summarize the following article:\n\n(CNN)It rained.\n\nSummary:", references: ["Rain .\nMore rain ."] },
  ],
  [
    "gsm8k",
    "gsm8k/main/test-00000-of-00001.parquet",
    { question: "How many?", answer: "500+500=<<500+500=1000>>1000\n#### 1,000" },
    { prompt: "Question: How many?\nAnswer:", references: ["1000"] },
  ],
  ...["easy", "challenge"].map((level): (typeof layouts)[number] => [
    `arc_${level}`,
    `ai2_arc/ARC-${level === "easy" ? "Easy" : "Challenge"}/test-00000-of-00001.parquet`,
    {
      id: "1",
      question: "Which?",
      choices: { text: ["sun", "moon", "sea", "air"], label: ["1", "2", "3", "4"] },
      answerKey: "3",
    },
    { prompt: "Question: Which?\nAnswer:", choices: ["sun", "moon", "sea", "air"], gold: 2 },
  ]),
  [
    "openbookqa",
    "openbookqa/main/test-00000-of-00001.parquet",
    {
      question_stem: "The sun is",
      choices: { text: ["hot", "cold", "wet", "far"], label: ["A", "B", "C", "D"] },
      answerKey: "A",
    },
    { prompt: "The sun is", choices: ["hot", "cold", "wet", "far"], gold: 0 },
  ],
  [
    "commonsense_qa",
    "commonsense_qa/data/validation-00000-of-00001.parquet",
    {
      question: " Where is it? ",
      choices: { label: ["A", "B", "C", "D", "E"], text: ["bank", "mall", "home", "sea", "sky"] },
      answerKey: "E",
    },
    {
      prompt: "Question: Where is it?\nA. bank\nB. mall\nC. home\nD. sea\nE. sky\nAnswer:",
      choices: ["A", "B", "C", "D", "E"],
      gold: 4,
    },
  ],
  [
    "piqa",
    "piqa/plain_text/validation/0000.parquet",
    { goal: "open a jar", sol1: "turn it", sol2: "eat it", label: 0n },
    { prompt: "Question: open a jar\nAnswer:", choices: ["turn it", "eat it"], gold: 0 },
  ],
  [
    "boolq",
    "boolq/data/validation-00000-of-00001.parquet",
    { question: "is it blue", answer: true, passage: "The sky is blue." },
    { prompt: "The sky is blue.\nQuestion: is it blue?\nAnswer:", choices: ["no", "yes"], gold: 1 },
  ],
  [
    "winogrande",
    "winogrande/winogrande_xl/validation-00000-of-00001.parquet",
    { sentence: "Sarah beat Maria so _ got the easier cases.", option1: "Sarah", option2: "Maria", answer: "2" },
    {
      contexts: ["Sarah beat Maria so Sarah", "Sarah beat Maria so Maria"],
      choices: ["got the easier cases.", "got the easier cases."],
      gold: 1,
    },
  ],
  [
    "hellaswag",
    "hellaswag/data/validation-00000-of-00001.parquet",
    {
      activity_label: "Roof shingle removal",
      ctx_a: "[header] How to remove shingles [title] Plan. [step] Wait  for",
      ctx_b: "A man AND a woman",
      endings: [
        " is using wrap [title] to wrap.",
        "[substeps] pulls up roofing [ on a roof.",
        "they [a] [b] sit",
        "ends",
      ],
      label: "3",
    },
    {
      prompt: "Roof shingle removal: How to remove shingles. Plan. Wait for A man and a woman",
      choices: ["is using wrap. to wrap.", " pulls up roofing [ on a roof.", "they  sit", "ends"],
      gold: 3,
    },
  ],
  [
    "lambada",
    "lambada_openai/default/test-00000-of-00001.parquet",
    { text: "He said:\n\nI don't care about signs" },
    { contexts: ["He said:\n\nI don't care about"], choices: ["signs"], gold: 0 },
  ],
];

test.each(layouts)("%s reads %s", async (name, path, content, expected) => {
  const file = join(folder, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, typeof content === "string" ? content : parquetOf(content as Record<string, unknown>));
  const { items, files } = await loadItems(await loadTask(name), { dataDirectory: folder, fewShot: 0 });
  expect(items).toMatchObject([expected]);
  expect(files).toMatchObject([{ path: file }]);
});
