import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

interface FakeRun {
  readonly info: { run_id: string; artifact_uri: string; status: string };
  readonly data: { tags: { key: string; value: string }[] };
  readonly params: Record<string, string>;
  readonly metrics: Record<string, number>;
}

interface Body {
  readonly [key: string]: unknown;
}

export interface FakeMlflow {
  readonly uri: string;
  readonly runs: FakeRun[];
  readonly artifacts: Map<string, string>;
  readonly requests: { readonly line: string; readonly headers: IncomingHttpHeaders }[];
  /** Answers in place of the server's own, by request line. */
  readonly failures: Map<string, { status: number; body: string; headers?: Record<string, string> }>;
  artifactRoot: string;
  close(): Promise<void>;
}

/** The part of MLflow's REST API 2.0 that pare speaks, after its documentation; pages hold two runs. */
export async function startFakeMlflow(): Promise<FakeMlflow> {
  const experiments = new Map<string, string>();
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const content = Buffer.concat(chunks).toString();
    const url = new URL(request.url!, "http://x");
    const line = `${request.method} ${url.pathname}`;
    fake.requests.push({ line, headers: request.headers });
    const failure = fake.failures.get(line);
    const answer = failure ?? handle(line, url, content);
    response.writeHead(answer.status, { "Content-Type": "application/json", ...failure?.headers });
    response.end(answer.body);
  });
  const ok = (value: unknown) => ({ status: 200, body: JSON.stringify(value) });
  const missing = (what: string) => ({
    status: 404,
    body: JSON.stringify({ error_code: "RESOURCE_DOES_NOT_EXIST", message: `${what} does not exist` }),
  });

  function handle(line: string, url: URL, content: string) {
    const artifact = /^PUT \/api\/2\.0\/mlflow-artifacts\/artifacts\/(.*)$/.exec(line)?.[1];
    if (artifact !== undefined) {
      fake.artifacts.set(decodeURIComponent(artifact), content);
      return ok({});
    }
    const body = (content ? JSON.parse(content) : {}) as Body;
    const run = fake.runs.find(({ info }) => info.run_id === body["run_id"]);
    switch (line.replace("/api/2.0/mlflow/", "")) {
      case "GET experiments/get-by-name": {
        const id = experiments.get(url.searchParams.get("experiment_name")!);
        return id ? ok({ experiment: { experiment_id: id, lifecycle_stage: "active" } }) : missing("experiment");
      }
      case "POST experiments/create":
        experiments.set(body["name"] as string, String(experiments.size + 1));
        return ok({ experiment_id: String(experiments.size) });
      case "POST runs/search": {
        const from = Number(body["page_token"] ?? 0);
        const more = from + 2 < fake.runs.length ? { next_page_token: String(from + 2) } : {};
        return ok({ runs: fake.runs.slice(from, from + 2), ...more });
      }
      case "POST runs/create": {
        const id = `run${fake.runs.length}`;
        const info = { run_id: id, artifact_uri: `${fake.artifactRoot}${id}/artifacts`, status: "RUNNING" };
        const tags = [...(body["tags"] as { key: string; value: string }[])];
        const created = { info, data: { tags }, params: {}, metrics: {} };
        fake.runs.push(created);
        return ok({ run: created });
      }
      case "POST runs/log-batch":
        if (!run) return missing("run");
        for (const { key, value } of (body["params"] ?? []) as { key: string; value: string }[]) {
          if ((run.params[key] ?? value) !== value)
            return { status: 400, body: JSON.stringify({ error_code: "INVALID_PARAMETER_VALUE", message: key }) };
          run.params[key] = value;
        }
        for (const { key, value } of (body["metrics"] ?? []) as { key: string; value: number }[])
          run.metrics[key] = value;
        return ok({});
      case "POST runs/set-tag":
        if (!run) return missing("run");
        run.data.tags.push({ key: body["key"] as string, value: body["value"] as string });
        return ok({});
      case "POST runs/update":
        if (!run) return missing("run");
        run.info.status = body["status"] as string;
        return ok({});
      default:
        return missing(line);
    }
  }

  const fake: FakeMlflow = {
    uri: "",
    runs: [],
    artifacts: new Map(),
    requests: [],
    failures: new Map(),
    artifactRoot: "mlflow-artifacts:/1/",
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(fake, { uri: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}
