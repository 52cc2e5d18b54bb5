import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readRecords } from "./records.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-records-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

const rows = [
  { question: "Why?", answer: "Because, so" },
  { question: "Größe\u2028?", answer: '"quoted"' },
];

describe("the same records", () => {
  const lines = `${rows.map((row) => JSON.stringify(row)).join("\n")}\n`;
  const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
  test.each([
    ["rows.jsonl", lines, ["line 1", "line 2"]],
    ["blank.jsonl", `\n${lines.replaceAll("\n", "\r\n")}\n`, ["line 2", "line 3"]],
    ["rows.jsonl.gz", gzipSync(lines), ["line 1", "line 2"]],
    ["rows.json", JSON.stringify(rows), ["entry 1", "entry 2"]],
    [
      "rows.csv",
      `\ufeffquestion,answer\r\n${rows.map((row) => `${quoted(row.question)},${quoted(row.answer)}`).join("\r\n")}\r\n`,
      ["line 2", "line 3"],
    ],
    [
      "rows.tsv",
      `question\tanswer\n${rows.map((row) => `${row.question}\t${row.answer}`).join("\n")}`,
      ["line 2", "line 3"],
    ],
    [
      "rows.parquet",
      new Uint8Array(
        parquetWriteBuffer({
          columnData: [
            { name: "question", data: rows.map((row) => row.question) },
            { name: "answer", data: rows.map((row) => row.answer) },
          ],
        }),
      ),
      ["row 1", "row 2"],
    ],
  ])("%s", async (name, content, places) => {
    const path = await file(name, content);
    const { records, file: source } = await readRecords(path);
    expect(records.map(({ record }) => ({ ...record }))).toEqual(rows);
    expect(records.map(({ place }) => place)).toEqual(places);
    expect(source).toEqual({ path, sha256: createHash("sha256").update(content).digest("hex") });
  });
});

test("strings become records with a text", async () => {
  const { records } = await readRecords(await file("texts.json", '["a story", "another"]'));
  expect(records.map(({ record }) => record)).toEqual([{ text: "a story" }, { text: "another" }]);
});

test("a line of a CSV file is where its record ends", async () => {
  const { records } = await readRecords(await file("long.csv", 'a,b\n"two\nlines",1\nx,2\n'));
  expect(records).toEqual([
    { record: { a: "two\nlines", b: "1" }, place: "line 3" },
    { record: { a: "x", b: "2" }, place: "line 4" },
  ]);
});

test("Parquet's 64-bit numbers, lists and dates are plain data", async () => {
  const columnData = [
    { name: "label", data: [3n, 2n ** 60n], type: "INT64" as const },
    { name: "answers", data: [["a", "b"], ["c"]], type: "JSON" as const },
  ];
  const { records } = await readRecords(
    await file("types.parquet", new Uint8Array(parquetWriteBuffer({ columnData }))),
  );
  expect(records.map(({ record }) => record)).toEqual([
    { label: 3, answers: ["a", "b"] },
    { label: "1152921504606846976", answers: ["c"] },
  ]);
});

describe("SQuAD's official format", () => {
  const question = (id: string, texts: string[]) => ({
    id,
    question: `${id}?`,
    answers: texts.map((text) => ({ text, answer_start: 0 })),
  });
  test("questions are counted through", async () => {
    const data = [
      { title: "One", paragraphs: [{ context: "c1", qas: [question("a", ["x", "x"]), question("b", [])] }] },
      {
        title: "Two",
        paragraphs: [
          { context: "c2", qas: [] },
          { context: "c3", qas: [question("c", ["y"])] },
        ],
      },
    ];
    const { records } = await readRecords(await file("squad.json", JSON.stringify({ version: "1.1", data })));
    expect(records).toEqual([
      {
        record: { id: "a", title: "One", context: "c1", question: "a?", answers: ["x", "x"] },
        place: "article 1, paragraph 1, question 1",
      },
      {
        record: { id: "b", title: "One", context: "c1", question: "b?", answers: [] },
        place: "article 1, paragraph 1, question 2",
      },
      {
        record: { id: "c", title: "Two", context: "c3", question: "c?", answers: ["y"] },
        place: "article 2, paragraph 2, question 1",
      },
    ]);
  });

  test.each([
    [[{ title: "One" }], 'article 1: no "paragraphs", which SQuAD\'s format has there'],
    [[{ paragraphs: {} }], 'article 1: "paragraphs" is no list'],
    [[{ paragraphs: [{ qas: [] }] }], 'article 1, paragraph 1: no "context"'],
    [[{ paragraphs: [{ context: "", qas: [{ id: 1, question: "" }] }] }], 'paragraph 1, question 1: no "answers"'],
  ])("%j is refused", async (data, message) => {
    const path = await file("broken-squad.json", JSON.stringify({ data }));
    await expect(readRecords(path)).rejects.toThrow(
      `${path}: ${message.startsWith("article") ? message : `article 1, ${message}`}`,
    );
  });
});

describe("refused, naming file and place", () => {
  const deep = `${'{"a":'.repeat(40)}1${"}".repeat(40)}`;
  test.each([
    ["broken.jsonl", `${'{"a": 1}\n'.repeat(811)}{"a": \n`, /broken\.jsonl: line 812: not valid JSON: \S/],
    ["list.jsonl", '{"a": 1}\n[1]\n', /list\.jsonl: line 2: no record/],
    ["number.json", '[{"a": 1}, 5]', /number\.json: entry 2: no record/],
    ["object.json", '{"rows": []}', /object\.json: neither a list of records nor SQuAD's/],
    ["deep.jsonl", deep, /deep\.jsonl: line 1: nested deeper than 32 levels/],
    ["bytes.jsonl", new Uint8Array([0x7b, 0xff, 0x7d]), /bytes\.jsonl: line 1: not UTF-8/],
    ["ragged.csv", "a,b\n1,2,3\n", /ragged\.csv: not valid CSV: .*line 2/],
    ["quote.csv", 'a,b\n"1,2\n', /quote\.csv: not valid CSV: \S/],
    ["twice.csv", "a,a\n1,2\n", /twice\.csv: line 1: two columns are named "a"/],
    ["no.parquet", "PAR1 and no more", /no\.parquet: no readable Parquet file/],
    ["rows.xlsx", "", /rows\.xlsx: unknown kind of file; give one of \.jsonl/],
  ])("%s", async (name, content, message) => {
    await expect(readRecords(await file(name, content))).rejects.toThrow(
      expect.objectContaining({ name: "InputError", message: expect.stringMatching(message) }),
    );
  });

  test("a message is one line without control characters", async () => {
    const path = await file("escape.json", '[\n"\u001b[31m\n\n]');
    await expect(readRecords(path)).rejects.toThrow(/^[^\p{Cc}]*$/u);
  });
});
