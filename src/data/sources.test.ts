import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, describe, expect, it } from "vitest";
import { oracle } from "../../test/oracles.js";
import { AbortError, InputError } from "../errors.js";
import { loadTokenizer } from "../tokenizer/tokenizer.js";
import { builtInSourceNames } from "./registry.js";
import type { Source } from "./source.js";
import { loadSource } from "./sources.js";
import { evaluationWindows, sha256OfIds } from "./windows.js";

const stories = fileURLToPath(new URL("../../assets/models/stories260K", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "pare-data-"));
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

function documentsOf(source: Source): readonly string[] {
  if (source.kind === "documents") return source.documents;
  throw new Error("windows, not documents");
}

const evaluation = { purpose: "evaluation" } as const;
const load = async (path: string) => documentsOf(await loadSource(path, evaluation));

function parquet(columns: Record<string, string[]>): Uint8Array {
  const columnData = Object.entries(columns).map(([name, data]) => ({ name, data, type: "STRING" as const }));
  return new Uint8Array(parquetWriteBuffer({ columnData }));
}

describe("a local file", () => {
  const text = "\ufeffone\r\n two\u2028three \n\n";
  it.each(["a.txt", "a.raw", "a.md", "A.TXT"])("%s is one document, as it is", async (name) => {
    expect(await load(write(name, text))).toEqual([text]);
  });

  const records = [{ text: "a\nb" }, "c\u2028d", { instruction: "Add.", input: "1 2", output: "3" }];
  const alpaca = { instruction: "Say hi.", input: "", output: "hi" };
  const texts = ["a\nb", "c\u2028d", "Add.\n1 2\n3", "Say hi.\nhi"];
  const list = JSON.stringify([...records, alpaca]);
  const lines = [...records, alpaca].map((record) => JSON.stringify(record)).join("\n");

  it.each<[string, string | Uint8Array]>([
    ["list.json", list],
    ["pretty.json", JSON.stringify([...records, alpaca], null, 2)],
    ["list.json.gz", gzipSync(list)],
    ["lines.jsonl", lines],
    ["gaps.jsonl", `${lines.replaceAll("\n", "\r\n\n")}\n\n`],
    ["lines.jsonl.gz", gzipSync(lines)],
    ["lines.JSONL.GZ", gzipSync(lines)],
    ["lines.json", lines],
    ["lines.json.gz", gzipSync(lines)],
    ["rows.parquet", parquet({ other: ["x", "x", "x", "x"], text: texts })],
  ])("%s holds a document an entry", async (name, content) => {
    expect(await load(write(name, content))).toEqual(texts);
  });

  it("is named with the hash of its bytes on disk", async () => {
    for (const [name, content] of [
      ["hash.txt", Buffer.from("abc")],
      ["hash.jsonl.gz", gzipSync('"abc"')],
      ["hash.json", Buffer.from('["abc"]')],
      ["hash.parquet", parquet({ text: ["abc"] })],
    ] as const) {
      const path = write(name, content);
      const { files } = await loadSource(path, evaluation);
      expect(files).toEqual([{ path, sha256: createHash("sha256").update(content).digest("hex") }]);
    }
  });

  it("of one line that is longer than a record's may be is a list all the same", async () => {
    const ids = Array.from({ length: 2 ** 22 }, (_, i) => 10 ** 15 + i); // 17 bytes each
    const file = write("long.json", `{"windows": [[1, 2]], "about": ${JSON.stringify(ids)}}`);
    const source = await loadSource(file, evaluation);
    expect(source.kind === "windows" && source.windows).toEqual([Int32Array.of(1, 2)]);
  });

  it("of windows gives the ids", async () => {
    const source = await loadSource(write("w.json", '{"windows": [[1, 2], [2147483647]]}'), evaluation);
    expect(source.kind === "windows" && source.windows).toEqual([Int32Array.of(1, 2), Int32Array.of(2147483647)]);
  });

  it("is read over chunks of any size: a line of three million characters", async () => {
    const long = "é".repeat(1_500_000);
    expect(await load(write("long.jsonl", `"x"\n"${long}"\n"y"`))).toEqual(["x", long, "y"]);
  });

  it.each<[string, string | Uint8Array, RegExp]>([
    ["b.jsonl", '"a"\n\n{"text": 1}', /b\.jsonl: line 3: neither a string nor a record with "text"/],
    ["c.jsonl", '"a"\n{"text": ', /c\.jsonl: line 2: no JSON/],
    ["d.json", '["a", 7]', /d\.json: entry 1: neither/],
    ["e.json", "{", /e\.json: no JSON/],
    ["f.json", "{}", /f\.json: line 1: neither a string|f\.json: neither a list/],
    ["g.json", '{"windows": []}', /g\.json: "windows" must be a list/],
    ["h.json", '{"windows": [[1], []]}', /h\.json: window 1 must be/],
    ["i.json", '{"windows": [[1, -1]]}', /i\.json: window 0, position 1: -1 is no token id/],
    ["j.json", '{"windows": [[1.5]]}', /window 0, position 0: 1\.5 is no token id/],
    ["k.json", '{"windows": [[2147483648]]}', /is no token id/],
    ["l.json", '{"windows": [["1"]]}', /"1" is no token id/],
    ["m.txt", Uint8Array.of(0x61, 0xff), /m\.txt: not UTF-8/],
    ["n.jsonl", Uint8Array.of(0x22, 0x61, 0x22, 0x0a, 0xff), /n\.jsonl: line 2: not UTF-8/],
    ["o.jsonl.gz", "plain", /o\.jsonl\.gz: cannot be read: incorrect header check/],
    ["p.json.gz", gzipSync('["abc"]').subarray(0, 20), /p\.json\.gz: cannot be read: unexpected end of file/],
    ["q.parquet", "PAR1 or not", /q\.parquet: no readable Parquet file/],
    ["r.parquet", parquet({ content: ["a"], title: ["b"] }), /r\.parquet: no column "text"; it has content, title/],
    ["s.csv", "text", /s\.csv: unknown kind of file; give one of \.txt/],
    ["t.json", `${"[".repeat(200_000)}`, /t\.json: no JSON|t\.json: entry/],
  ])("%s that is broken is refused, saying where", async (name, content, message) => {
    const path = write(name, content);
    await expect(loadSource(path, evaluation)).rejects.toThrow(InputError);
    await expect(loadSource(path, evaluation)).rejects.toThrow(message);
  });

  it("is not read on when stopped", async () => {
    const path = write("stop.txt", "abc");
    await expect(loadSource(path, { ...evaluation, signal: AbortSignal.abort() })).rejects.toThrow(AbortError);
  });
});

describe("a built-in source", () => {
  const rows = [
    "",
    " = Robert = \n",
    "",
    " He acted .\n",
    "",
    " = = Career = = \n",
    "",
    " Plays .\n",
    "",
    " = Next = \n",
    "",
  ];
  const raw = rows.map((row) => row || " \n").join("");

  it.each(["wikitext2-raw/wiki.test.raw", "wiki.test.raw"])("wikitext2 in %s: lines are rows", async (name) => {
    const dataDirectory = join(folder, `data-${name.length}`);
    write(`data-${name.length}/${name}`, raw);
    const source = await loadSource("wikitext2", { ...evaluation, dataDirectory });
    // "\n\n".join(dataset["text"]) of Hugging Face's wikitext-2-raw-v1, whose blank lines are "".
    expect(documentsOf(source).join("\n\n")).toBe(rows.join("\n\n"));
    expect(documentsOf(source).length).toBe(2);
    expect(source.split).toBe("test");
  });

  it("wikitext2 as Parquet: the same text", async () => {
    write("data-p/wikitext-2-raw-v1/test-00000-of-00001.parquet", parquet({ text: rows }));
    const source = await loadSource("wikitext2", { ...evaluation, dataDirectory: join(folder, "data-p") });
    expect(documentsOf(source).join("\n\n")).toBe(rows.join("\n\n"));
  });

  it("wikitext2 calibrates by the train split, and never by what it is measured on", async () => {
    const dataDirectory = join(folder, "data-t");
    write("data-t/wiki.test.raw", raw);
    const calibration = { purpose: "calibration", dataDirectory } as const;
    await expect(loadSource("wikitext2", calibration)).rejects.toThrow("put wikitext2-raw/wiki.train.raw");
    write("data-t/wiki.train.raw", " train\n");
    const source = await loadSource("wikitext2", calibration);
    expect([source.split, ...documentsOf(source)]).toEqual(["train", " train\n"]);
    expect(source.kind === "documents" && source.referenceText).toBe(" train\n");
  });

  it.each([
    "en/c4-train.00000-of-01024.json.gz",
    "c4/c4-train.00000-of-01024.json",
    "c4-train.00000-of-01024.jsonl",
    "c4/c4_demo.jsonl",
  ])("c4 in %s", async (name) => {
    const content = '{"text": "a", "url": "u"}\n{"text": "b", "url": "u"}\n';
    write(`data-c${name.length}/${name}`, name.endsWith(".gz") ? gzipSync(content) : content);
    const dataDirectory = join(folder, `data-c${name.length}`);
    expect(documentsOf(await loadSource("c4", { purpose: "calibration", dataDirectory }))).toEqual(["a", "b"]);
  });

  it("tinystories comes with the package, other stories for evaluation than for calibration", async () => {
    const calibration = documentsOf(await loadSource("tinystories", { purpose: "calibration" }));
    const other = documentsOf(await loadSource("tinystories", evaluation));
    expect(calibration.length + other.length).toBe(163);
    expect(calibration.filter((story) => other.includes(story))).toEqual([]);
  });

  it("that is not there says which file to put where", async () => {
    const dataDirectory = mkdtempSync(join(folder, "empty-"));
    await expect(loadSource("c4", { purpose: "calibration", dataDirectory })).rejects.toThrow(
      `c4: not in ${dataDirectory}; put c4/en/c4-train.00000-of-01024.json.gz from https://huggingface.co/datasets/allenai/c4 there`,
    );
    await expect(loadSource("tinystories", { ...evaluation, dataDirectory: "/none" })).rejects.toThrow(
      "the data folder /none is not there: correct --data-dir or PARE_DATA",
    );
    await expect(loadSource("wikitext2", evaluation)).rejects.toThrow(/--data-dir or PARE_DATA/);
  });

  it("of another name is unknown", async () => {
    await expect(loadSource("wikitext3", evaluation)).rejects.toThrow(
      `nor a built-in data source (${builtInSourceNames.join(", ")})`,
    );
  });
});

describe("windows to measure on", async () => {
  const tokenizer = await loadTokenizer(stories);
  const path = write("two.json", JSON.stringify(["once upon a time", "there was a cat"]));

  it("are cut from the joined text, what is left over dropped", async () => {
    const source = await loadSource(path, evaluation);
    const ids = tokenizer!.encode("once upon a time\n\nthere was a cat", { specialTokens: false });
    const windows = evaluationWindows(source, tokenizer, { length: 4 });
    expect(windows.length).toBe(Math.floor(ids.length / 4));
    expect(windows.flatMap((window) => [...window])).toEqual([...ids.subarray(0, windows.length * 4)]);
    expect(evaluationWindows(source, tokenizer, { length: 4, count: 2 })).toEqual(windows.slice(0, 2));
  });

  it("are refused where there are not so many, or no tokenizer", async () => {
    const source = await loadSource(path, evaluation);
    expect(() => evaluationWindows(source, tokenizer, { length: 4, count: 1000 })).toThrow(/windows, not 1000/);
    expect(() => evaluationWindows(source, tokenizer, { length: 4000 })).toThrow(/less than one window of 4000/);
    expect(() => evaluationWindows(source, undefined, { length: 4 })).toThrow(/no tokenizer\.json/);
  });

  it("are named by the SHA-256 of their ids", () => {
    // printf '\x01\x00\x00\x00\xff\x00\x00\x00\x00\x01\x00\x00' | sha256sum
    expect(sha256OfIds([Int32Array.of(1, 255), Int32Array.of(256)])).toBe(
      "b5dfd95cfeeb562210156b7d434ca136fca9cbbc5a5d77aed0244de382c0421f",
    );
  });
});

const data = oracle("datasets");
describe.skipIf(!data)(`data sets and windows of ids in PARE_ORACLES${data ? "" : " (not set)"}`, () => {
  it("wikitext2 has the 62 articles of the test split in its 4,358 rows", async () => {
    const documents = documentsOf(await loadSource("wikitext2", { ...evaluation, dataDirectory: data }));
    expect(documents.length).toBe(62);
    const lines = readFileSync(oracle("datasets", "wikitext2-raw", "wiki.test.raw")!, "utf8").match(/\n/g) ?? [];
    expect(lines.length).toBe(4358);
  });

  it.each([
    ["SmolLM2-135M-Instruct", "calibration", ["c4", "c4_demo.jsonl"], 0],
    ["SmolLM2-135M-Instruct", "evaluation", ["wikitext2-raw", "wiki.test.raw"], 0],
    ["TinyStories-656K", "calibration", ["tinystories", "tinystories_1000.json"], 0],
    ["stories260K", "calibration", ["tinystories", "tinystories_1000.json"], 0],
    ["stories260K", "evaluation", ["tinystories", "tinystories_1000.json"], 100],
  ] as const)("%s: the %s windows of the pruning oracles", async (model, name, file, skipped) => {
    const { windows: expected } = JSON.parse(
      readFileSync(oracle("oracles", "pruning", model, `${name}.json`)!, "utf8"),
    ) as {
      windows: number[][];
    };
    const source = await loadSource(join(data!, ...file), evaluation);
    const tokenizer = await loadTokenizer(oracle("models", model)!);
    const windows = evaluationWindows(source, tokenizer, {
      length: expected[0]!.length,
      count: skipped + expected.length,
    });
    expect(windows.slice(skipped).map((window) => [...window])).toEqual(expected);
  });
});
