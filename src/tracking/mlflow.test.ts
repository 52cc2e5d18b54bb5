import { spawn, spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FakeMlflow, startFakeMlflow } from "../../test/support/mlflow.js";
import { madeGrid } from "../../test/support/study.js";
import { InputError, RunError } from "../errors.js";
import { mlflowCredentials } from "./client.js";
import { logToMlflow } from "./mlflow.js";

const { study, cells } = madeGrid({ sparsities: [0.5], calibrations: ["c4"], tasks: ["squad"] });

let folder: string;
let report: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-mlflow-"));
  report = join(folder, "report.html");
  await writeFile(report, "<p>the report</p>");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("a study logged to a server that speaks MLflow's protocol", () => {
  let server: FakeMlflow;
  beforeEach(async () => {
    server = await startFakeMlflow();
  });
  afterEach(() => server.close());

  it("is a run with the report, and one below it for each cell", async () => {
    const result = await logToMlflow(`${server.uri}/`, { study, cells, report });
    expect(result).toEqual({
      url: `${server.uri}/#/experiments/1/runs/run0`,
      experimentId: "1",
      runId: "run0",
      logged: cells.map(({ id }) => id),
    });
    expect(server.runs.map(({ info }) => info.status)).toEqual(["FINISHED", "FINISHED", "FINISHED", "FINISHED"]);
    const [, first] = server.runs;
    expect(first!.data.tags).toContainEqual({ key: "mlflow.parentRunId", value: "run0" });
    expect(first!.params).toMatchObject({ method: "magnitude", sparsity: "0.5", model: "tiny" });
    expect(first!.params).not.toHaveProperty("calibration"); // magnitude needs none
    const { jsd } = cells[0]!.text["wikitext2"]!;
    expect(first!.metrics).toMatchObject({
      "jsd/wikitext2": jsd.mean,
      "jsd/wikitext2/standardError": jsd.standardError,
      "compression/sparsity": 0.5,
      "seconds/evaluate": 2,
    });
    expect(first!.metrics["score/squad/exact_match/base"]).toBeGreaterThan(0);
    expect([...server.artifacts.keys()]).toEqual(["1/run0/artifacts/study.json", "1/run0/artifacts/report.html"]);
    expect(server.artifacts.get("1/run0/artifacts/report.html")).toBe("<p>the report</p>");
    expect(JSON.parse(server.artifacts.get("1/run0/artifacts/study.json")!)).toEqual(study);
  });

  it("is logged once: a second time adds what is new or was cut short", async () => {
    await logToMlflow(server.uri, { study, cells: cells.slice(0, 1) });
    server.failures.set("POST /api/2.0/mlflow/runs/set-tag", { status: 500, body: "" });
    await expect(logToMlflow(server.uri, { study, cells })).rejects.toThrow("runs/set-tag: 500");
    server.failures.clear();
    expect(server.runs).toHaveLength(3);
    const { logged } = await logToMlflow(server.uri, { study, cells });
    expect(logged).toEqual(cells.slice(1).map(({ id }) => id));
    expect(server.runs).toHaveLength(4);
    expect((await logToMlflow(server.uri, { study, cells })).logged).toEqual([]);
    expect(server.runs).toHaveLength(4);
    const other = { ...study, createdAt: "2026-02-02T00:00:00.000Z" };
    expect((await logToMlflow(server.uri, { study: other, cells })).runId).toBe("run4");
  });

  it.each([
    [{ token: "t0ken" }, "Bearer t0ken"],
    [{ username: "me", password: "s:ä" }, `Basic ${Buffer.from("me:s:ä").toString("base64")}`],
  ])("says who one is on every request", async (credentials, header) => {
    await logToMlflow(server.uri, { study, cells: [], credentials });
    expect(new Set(server.requests.map(({ headers }) => headers.authorization))).toEqual(new Set([header]));
  });

  it("never takes the credentials to another host", async () => {
    const elsewhere = await startFakeMlflow();
    server.failures.set("GET /api/2.0/mlflow/experiments/get-by-name", {
      status: 307,
      body: "",
      headers: { Location: `${elsewhere.uri}/api/2.0/mlflow/experiments/get-by-name` },
    });
    try {
      const sent = logToMlflow(server.uri, { study, cells, credentials: { token: "t0ken" } });
      await expect(sent).rejects.toThrow(RunError);
      expect(elsewhere.requests).toEqual([]);
    } finally {
      await elsewhere.close();
    }
  });

  it("says what the server said, on one line", async () => {
    const body = JSON.stringify({ error_code: "PERMISSION_DENIED", message: "not\nyou\u001b[2J" });
    server.failures.set("POST /api/2.0/mlflow/experiments/create", { status: 403, body });
    await expect(logToMlflow(server.uri, { study, cells })).rejects.toThrow(
      /^MLflow at http:\/\/127\.0\.0\.1:\d+: experiments\/create: 403 PERMISSION_DENIED not you \[2J; set MLFLOW_TRACKING_TOKEN/,
    );
    server.failures.set("GET /api/2.0/mlflow/experiments/get-by-name", { status: 200, body: "<html>" });
    await expect(logToMlflow(server.uri, { study, cells })).rejects.toThrow("the answer is not MLflow's");
  });

  it("warns where the server does not take files", async () => {
    server.artifactRoot = "s3://bucket/";
    const warnings: string[] = [];
    await logToMlflow(server.uri, { study, cells: [], report, onWarning: (message) => warnings.push(message) });
    expect(warnings).toEqual([expect.stringMatching(/s3:\/\/bucket\/run0.*the report was not uploaded/)]);
    expect(server.artifacts.size).toBe(0);
  });

  it("stops when it is told to", async () => {
    const sent = logToMlflow(server.uri, { study, cells, signal: AbortSignal.abort() });
    await expect(sent).rejects.toMatchObject({ name: "AbortError" });
  });
});

it("an address that is none is the user's mistake, and a password in it is not repeated", async () => {
  for (const uri of ["", "mlruns", "file:///tmp/mlruns", "databricks", "ftp://x"])
    await expect(logToMlflow(uri, { study, cells })).rejects.toThrow(InputError);
  const error = await logToMlflow("http://me:s3cret@127.0.0.1:1", { study, cells }).catch((error: Error) => error);
  expect(error).toBeInstanceOf(InputError);
  expect(String(error)).not.toContain("s3cret");
});

it("a server that is not there is named", async () => {
  const sent = logToMlflow(`http://127.0.0.1:${await freePort()}`, { study, cells });
  await expect(sent).rejects.toThrow(/^MLflow at http:\/\/127\.0\.0\.1:\d+: experiments\/get-by-name: .*ECONNREFUSED/);
});

it("credentials come from MLflow's own variables, name and password first", () => {
  const [MLFLOW_TRACKING_TOKEN, MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD] = ["t", "u", "p"];
  expect(mlflowCredentials({})).toBeUndefined();
  expect(mlflowCredentials({ MLFLOW_TRACKING_TOKEN })).toEqual({ token: "t" });
  expect(mlflowCredentials({ MLFLOW_TRACKING_TOKEN, MLFLOW_TRACKING_USERNAME })).toEqual({ token: "t" });
  expect(mlflowCredentials({ MLFLOW_TRACKING_TOKEN, MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD })).toEqual({
    username: "u",
    password: "p",
  });
});

const hasMlflow = spawnSync("mlflow", ["--version"]).status === 0;
describe.skipIf(!hasMlflow)(
  `MLflow's own server${hasMlflow ? "" : " (skipped: the command mlflow is not installed)"}`,
  () => {
    it("takes a study and gives it back", { timeout: 240_000 }, async () => {
      const port = await freePort();
      const uri = `http://127.0.0.1:${port}`;
      const store = ["--backend-store-uri", `sqlite:///${join(folder, "mlflow.db")}`];
      const files = ["--artifacts-destination", join(folder, "artifacts"), "--serve-artifacts"];
      const where = ["--host", "127.0.0.1", "--port", String(port), "--workers", "1"];
      const server = spawn("mlflow", ["server", ...store, ...files, ...where], { stdio: "ignore", detached: true });
      try {
        await waitFor(`${uri}/health`, 180);
        const { runId } = await logToMlflow(uri, { study, cells, report });
        expect((await logToMlflow(uri, { study, cells, report })).logged).toEqual([]);
        const api = async <T>(path: string, body?: unknown) => {
          const init = { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
          const answer = await fetch(`${uri}/api/2.0/${path}`, body ? init : {});
          expect(answer.status).toBe(200);
          return (await answer.json()) as T;
        };
        const { experiment } = await api<{ experiment: { experiment_id: string } }>(
          `mlflow/experiments/get-by-name?experiment_name=${study.name}`,
        );
        const { runs } = await api<{ runs: ShownRun[] }>("mlflow/runs/search", {
          experiment_ids: [experiment.experiment_id],
          filter: `tags.mlflow.parentRunId = '${runId}'`,
        });
        expect(runs.map(({ info }) => info.status)).toEqual(["FINISHED", "FINISHED", "FINISHED"]);
        const values = runs.map(({ data }) => data.metrics.find(({ key }) => key === "jsd/wikitext2")!.value);
        const expected = cells.map(({ text }) => text["wikitext2"]!.jsd.mean!).sort((a, b) => a - b);
        expect(values.sort((a, b) => a - b)).toEqual(expected.map((value) => expect.closeTo(value, 12)));
        const { files } = await api<{ files: { path: string }[] }>(`mlflow/artifacts/list?run_id=${runId}`);
        expect(files.map(({ path }) => path).sort()).toEqual(["report.html", "study.json"]);
      } finally {
        process.kill(-server.pid!, "SIGKILL"); // with its workers
      }
    });
  },
);

interface ShownRun {
  readonly info: { readonly status: string };
  readonly data: { readonly metrics: readonly { readonly key: string; readonly value: number }[] };
}

async function waitFor(url: string, seconds: number): Promise<void> {
  for (let i = 0; i < seconds; i++) {
    if (
      await fetch(url).then(
        ({ ok }) => ok,
        () => false,
      )
    )
      return;
    await sleep(1000);
  }
  throw new Error(`${url} does not answer`);
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
