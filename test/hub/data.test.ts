import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { builtInSources } from "../../src/data/registry.js";
import { loadSource } from "../../src/data/sources.js";
import { RunError } from "../../src/errors.js";
import { loadItems } from "../../src/tasks/items.js";
import { loadTask } from "../../src/tasks/load.js";
import { type HubServer, sha256, startHub } from "../support/hub-server.js";

let hub: HubServer;
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "pare-hub-data-"));
  hub = await startHub({});
});
afterAll(async () => {
  await hub.close();
  await rm(root, { recursive: true, force: true });
});
afterEach(() => {
  vi.unstubAllEnvs();
  hub.requests.length = 0;
});

function useHub(env: Readonly<Record<string, string>> = {}): void {
  const all = { HF_ENDPOINT: hub.url, HF_HUB_CACHE: join(root, "hub"), HF_HUB_OFFLINE: "", HF_HOME: root, ...env };
  for (const [name, value] of Object.entries(all)) vi.stubEnv(name, value);
}

/** What a built-in source takes of the hub, served with other content. */
function serve(name: string, contents: Readonly<Record<"calibration" | "evaluation", Uint8Array>>) {
  const { hub: source } = builtInSources.find((one) => one.name === name)!;
  const { commit, files } = source!;
  const served = {
    [files.calibration.path]: { content: contents.calibration, storage: "xet" as const },
    [files.evaluation.path]: { content: contents.evaluation, storage: "lfs" as const },
  };
  hub.repositories[`datasets/${source!.name}`] = { refs: {}, commits: { [commit]: served } };
  return (purpose: "calibration" | "evaluation") => `hf://datasets/${source!.name}@${commit}/${files[purpose].path}`;
}

it("wikitext2 comes from the hub where no folder has it", async () => {
  const rows = ["", " = Robert = \n", "", " He acted .\n", " = Next = \n", " Plays .\n"];
  const parquet = (text: string[]) =>
    new Uint8Array(parquetWriteBuffer({ columnData: [{ name: "text", data: text, type: "STRING" }] }));
  const test = parquet(rows);
  const address = serve("wikitext2", { calibration: parquet([" train\n"]), evaluation: test });
  useHub();
  const source = await loadSource("wikitext2", { purpose: "evaluation", dataDirectory: root });
  expect(source.kind === "documents" && source.documents.join("\n\n")).toBe(rows.join("\n\n"));
  expect(source).toMatchObject({ split: "test", files: [{ path: address("evaluation"), sha256: sha256(test) }] });
  expect(await loadSource("wikitext2", { purpose: "calibration" })).toMatchObject({
    split: "train",
    documents: [" train\n"],
  });
  // The commit is named: what is there is not asked for again.
  hub.requests.length = 0;
  expect(await loadSource("wikitext2", { purpose: "evaluation" })).toEqual(source);
  useHub({ HF_HUB_OFFLINE: "1" });
  expect(await loadSource("wikitext2", { purpose: "evaluation" })).toEqual(source);
  expect(hub.requests).toEqual([]);
});

it("c4 too, unpacked", async () => {
  const packed = (text: string) =>
    gzipSync(`${JSON.stringify({ text, url: "u" })}\n${JSON.stringify({ text: "b" })}\n`);
  serve("c4", { calibration: packed("train"), evaluation: packed("validation") });
  useHub();
  expect(await loadSource("c4", { purpose: "calibration" })).toMatchObject({
    split: "train",
    documents: ["train", "b"],
  });
  expect(await loadSource("c4", { purpose: "evaluation" })).toMatchObject({ documents: ["validation", "b"] });
});

it("a file of the hub is a source by its address", async () => {
  const files = { "a/b.jsonl": { content: Buffer.from('{"text": "one"}\n"two"\n') } };
  hub.repositories["datasets/pare/texts"] = { refs: { main: "1".repeat(40) }, commits: { ["1".repeat(40)]: files } };
  useHub();
  const address = "hf://datasets/pare/texts/a/b.jsonl";
  expect(await loadSource(address, { purpose: "evaluation" })).toMatchObject({
    name: address,
    documents: ["one", "two"],
    files: [{ path: `hf://datasets/pare/texts@${"1".repeat(40)}/a/b.jsonl` }],
  });
});

it("a task's data may be a file of the hub", async () => {
  const files = { "test.jsonl": { content: Buffer.from('{"question": "2 + 2", "answer": "4"}\n') } };
  hub.repositories["datasets/pare/sums"] = { refs: { main: "2".repeat(40) }, commits: { ["2".repeat(40)]: files } };
  useHub();
  const lines = [
    "name: sums",
    "version: 1",
    "kind: generate",
    "summary: sums",
    "data: { test: [sums.jsonl, 'hf://datasets/pare/sums/test.jsonl'] }",
    'prompt: "{{ question }} ="',
    'target: "{{ answer }}"',
    "max_new_tokens: 4",
    "metrics: [exact_match]",
  ];
  const path = join(root, "sums.yaml");
  await writeFile(path, lines.join("\n"));
  const { items, files: read } = await loadItems(await loadTask(path));
  expect(items).toMatchObject([{ prompt: "2 + 2 =", references: ["4"] }]);
  expect(read).toMatchObject([{ path: `hf://datasets/pare/sums@${"2".repeat(40)}/test.jsonl` }]);
});

it("what cannot be downloaded may be put in place", async () => {
  useHub({ HF_HUB_OFFLINE: "1", HF_HUB_CACHE: join(root, "none") });
  await expect(loadSource("c4", { purpose: "calibration", dataDirectory: root })).rejects.toThrow(
    new RegExp(
      `^c4: not in ${root}; put c4/en/c4-train.00000-of-01024.json.gz from \\S+ there \\(hf:.*unset HF_HUB_OFFLINE to download it\\)$`,
    ),
  );
  useHub({ HF_HUB_CACHE: join(root, "none") });
  hub.faults.intercept = (_, response) => {
    response.writeHead(429, { "retry-after": "3000" }).end();
    return true;
  };
  const failed = loadSource("c4", { purpose: "calibration" });
  await expect(failed).rejects.toThrow(RunError);
  await expect(failed).rejects.toThrow(
    /^c4: no data folder; name one by --data-dir or PARE_DATA and put .*answers 429/,
  );
  hub.faults.intercept = undefined;
});
