import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { z } from "zod";
import { analyseStudy } from "../analysis/analyse.js";
import { throwIfAborted } from "../errors.js";
import type { CellResult, StudyRecord } from "../results/study-results.js";
import { createMlflowClient, type MlflowClient, type MlflowCredentials } from "./client.js";
import { metricsFor, parametersOf } from "./figures.js";

/** What one log-batch may hold. */
const MAX_METRICS = 1000;
const PAGE = 100;

const experimentSchema = z.object({ experiment: z.object({ experiment_id: z.string(), lifecycle_stage: z.string() }) });
const createdSchema = z.object({ experiment_id: z.string() });
const runSchema = z.object({
  info: z.object({ run_id: z.string(), artifact_uri: z.string().optional() }),
  data: z.object({ tags: z.array(z.object({ key: z.string(), value: z.string() })).default([]) }).default({ tags: [] }),
});
const runAnswerSchema = z.object({ run: runSchema });
const runsSchema = z.object({ runs: z.array(runSchema).default([]), next_page_token: z.string().optional() });
const anything = z.unknown();

type Run = z.infer<typeof runSchema>;

/** Tags by which a run is known again. */
const STUDY_TAG = "pare.study";
const CELL_TAG = "pare.cell";
/** Set last, so that a cell whose logging was cut short is logged again. */
const FINISHED_TAG = "pare.finishedAt";
const PARENT_TAG = "mlflow.parentRunId";

export interface MlflowOptions {
  readonly study: StudyRecord;
  readonly cells: readonly CellResult[];
  /** The report's file; uploaded with the study. */
  readonly report?: string | undefined;
  readonly credentials?: MlflowCredentials | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onWarning?: (message: string) => void;
}

export interface MlflowResult {
  /** Where a browser shows the study's run. */
  readonly url: string;
  readonly experimentId: string;
  readonly runId: string;
  /** Ids of cells that were not there yet. */
  readonly logged: readonly string[];
}

/**
 * Logs a study to an MLflow server: an experiment of its name, in it a run for the study with the report, below it a run
 * for each cell with parameters and figures. What is there already is not logged again. MLflow's REST API 2.0, artifacts
 * through the server (mlflow-artifacts). Throws InputError for an address that is none; RunError where the server refuses.
 */
export async function logToMlflow(uri: string, options: MlflowOptions): Promise<MlflowResult> {
  const { study, cells, report, signal, onWarning = () => {} } = options;
  const client = createMlflowClient(uri, options.credentials, signal);
  const experimentId = await openExperiment(client, study.name);
  const known = await listRuns(client, experimentId);
  const name = `${study.name} ${study.createdAt}`;
  const parent =
    known.find((run) => tagOf(run, STUDY_TAG) === name) ??
    (await createRun(client, experimentId, study.name, study.createdAt, { [STUDY_TAG]: name }));
  const runId = parent.info.run_id;
  const analysed = new Map(analyseStudy(study, cells).cells.map((cell) => [cell.id, cell]));
  const logged: string[] = [];
  for (const cell of cells) {
    throwIfAborted(signal);
    const found = known.find((run) => tagOf(run, CELL_TAG) === cell.id && tagOf(run, PARENT_TAG) === runId);
    if (found && tagOf(found, FINISHED_TAG) === cell.finishedAt) continue;
    const analysis = analysed.get(cell.id);
    const tags = { [CELL_TAG]: cell.id, [PARENT_TAG]: runId };
    const run = found ?? (await createRun(client, experimentId, analysis?.name ?? cell.id, cell.finishedAt, tags));
    const model = study.models.find((own) => own.name === cell.label.model);
    await logCell(client, run.info.run_id, cell, {
      params: parametersOf(cell, model?.sha256 ?? "unknown"),
      metrics: metricsFor(cell, analysis),
    });
    logged.push(cell.id);
  }
  await uploadFiles(client, parent, study, report, onWarning);
  await finish(client, runId, Date.now());
  return { url: `${client.address}/#/experiments/${experimentId}/runs/${runId}`, experimentId, runId, logged };
}

async function openExperiment(client: MlflowClient, name: string): Promise<string> {
  const found = await client.find("experiments/get-by-name", { experiment_name: name }, experimentSchema);
  if (!found) return (await client.post("experiments/create", { name }, createdSchema)).experiment_id;
  const { experiment_id: id, lifecycle_stage: stage } = found.experiment;
  // A deleted experiment keeps its name: no other can have it.
  if (stage === "deleted") await client.post("experiments/restore", { experiment_id: id }, anything);
  return id;
}

async function listRuns(client: MlflowClient, experimentId: string): Promise<Run[]> {
  const all: Run[] = [];
  let token: string | undefined;
  do {
    const page = { experiment_ids: [experimentId], max_results: PAGE, ...(token ? { page_token: token } : {}) };
    const { runs, next_page_token } = await client.post("runs/search", page, runsSchema);
    all.push(...runs);
    token = next_page_token;
  } while (token);
  return all;
}

async function createRun(
  client: MlflowClient,
  experimentId: string,
  name: string,
  startedAt: string,
  tags: Readonly<Record<string, string>>,
): Promise<Run> {
  const all = { ...tags, "mlflow.source.name": "pare", "mlflow.source.type": "LOCAL" };
  const body = {
    experiment_id: experimentId,
    run_name: name,
    start_time: Date.parse(startedAt),
    tags: Object.entries(all).map(([key, value]) => ({ key, value })),
  };
  return (await client.post("runs/create", body, runAnswerSchema)).run;
}

async function logCell(
  client: MlflowClient,
  runId: string,
  { finishedAt }: CellResult,
  figures: { readonly params: ReturnType<typeof parametersOf>; readonly metrics: ReadonlyMap<string, number> },
): Promise<void> {
  const timestamp = Date.parse(finishedAt);
  const metrics = [...figures.metrics].map(([key, value]) => ({ key, value, timestamp, step: 0 }));
  await client.post("runs/log-batch", { run_id: runId, params: figures.params }, anything);
  for (let from = 0; from < metrics.length; from += MAX_METRICS) {
    const batch = { run_id: runId, metrics: metrics.slice(from, from + MAX_METRICS) };
    await client.post("runs/log-batch", batch, anything);
  }
  await finish(client, runId, timestamp);
  await client.post("runs/set-tag", { run_id: runId, key: FINISHED_TAG, value: finishedAt }, anything);
}

async function finish(client: MlflowClient, runId: string, time: number): Promise<void> {
  await client.post("runs/update", { run_id: runId, status: "FINISHED", end_time: time }, anything);
}

async function uploadFiles(
  client: MlflowClient,
  { info }: Run,
  study: StudyRecord,
  report: string | undefined,
  onWarning: (message: string) => void,
): Promise<void> {
  const root = /^mlflow-artifacts:(?:\/\/[^/]*)?\/(.*)$/.exec(info.artifact_uri ?? "")?.[1];
  if (root === undefined) {
    onWarning(
      `MLflow at ${client.address} does not take files itself (its runs' files lie in ${info.artifact_uri}): the report was not uploaded; start it with --serve-artifacts`,
    );
    return;
  }
  const path = root.split("/").filter((part) => part !== "");
  await client.putArtifact([...path, "study.json"], `${JSON.stringify(study, null, 2)}\n`);
  if (report !== undefined) await client.putArtifact([...path, basename(report)], await readFile(report));
}

function tagOf({ data }: Run, key: string): string | undefined {
  return data.tags.find((tag) => tag.key === key)?.value;
}
