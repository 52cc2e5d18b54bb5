import { z } from "zod";
import { AbortError, InputError, RunError } from "../errors.js";
import { oneLine } from "../text/one-line.js";

const TIMEOUT_MILLISECONDS = 60_000;
/** Longest text of a server's that an error repeats. */
const MAX_QUOTED = 300;

/** How one says who one is; sent to the tracking server and nowhere else. */
export type MlflowCredentials = { readonly token: string } | { readonly username: string; readonly password: string };

/** MLFLOW_TRACKING_USERNAME and _PASSWORD, or MLFLOW_TRACKING_TOKEN, in the order in which MLflow's own client takes them. */
export function mlflowCredentials(
  environment: Readonly<Record<string, string | undefined>>,
): MlflowCredentials | undefined {
  const username = environment["MLFLOW_TRACKING_USERNAME"];
  const password = environment["MLFLOW_TRACKING_PASSWORD"];
  const token = environment["MLFLOW_TRACKING_TOKEN"];
  if (username && password) return { username, password };
  return token ? { token } : undefined;
}

/** Requests to one MLflow server. Every one throws RunError naming server, request and answer where it fails. */
export interface MlflowClient {
  /** The server's address, without a slash at its end. */
  readonly address: string;
  /** A GET; undefined for RESOURCE_DOES_NOT_EXIST. */
  find<T>(path: string, query: Readonly<Record<string, string>>, answer: z.ZodType<T>): Promise<T | undefined>;
  post<T>(path: string, body: unknown, answer: z.ZodType<T>): Promise<T>;
  /** `path`: of segments, from the root of the server's artifact store. */
  putArtifact(path: readonly string[], content: string | Uint8Array): Promise<void>;
}

interface Failure {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

const failureSchema = z.object({ error_code: z.string(), message: z.string().optional() });

/** Throws InputError for an address that is none of an MLflow server. */
export function createMlflowClient(
  uri: string,
  credentials: MlflowCredentials | undefined,
  signal: AbortSignal | undefined,
): MlflowClient {
  const address = checkedAddress(uri);
  const headers = credentials ? { Authorization: authorization(credentials) } : {};

  async function send(what: string, url: string, request: RequestInit): Promise<string | Failure> {
    const limit = AbortSignal.timeout(TIMEOUT_MILLISECONDS);
    let status: number;
    let text: string;
    try {
      const answer = await fetch(url, {
        ...request,
        headers: { ...headers, ...request.headers },
        // Another host is not who the credentials are for.
        redirect: "error",
        signal: signal ? AbortSignal.any([signal, limit]) : limit,
      });
      status = answer.status;
      text = await answer.text();
      if (answer.ok) return text;
    } catch (error) {
      if (signal?.aborted) throw new AbortError("stopped", { cause: error });
      throw new RunError(`MLflow at ${address}: ${what}: ${reasonOf(error)}`, { cause: error });
    }
    const parsed = failureSchema.safeParse(jsonOf(text));
    return parsed.success
      ? { status, code: parsed.data.error_code, message: parsed.data.message ?? "" }
      : { status, code: "", message: text };
  }

  function checked<T>(what: string, answer: string | Failure, schema: z.ZodType<T>): T {
    if (typeof answer !== "string") throw failed(what, answer);
    const parsed = schema.safeParse(jsonOf(answer));
    if (parsed.success) return parsed.data;
    throw new RunError(`MLflow at ${address}: ${what}: the answer is not MLflow's; is the address right?`);
  }

  function failed(what: string, { status, code, message }: Failure): RunError {
    const hint = status === 401 || status === 403 ? `; set ${VARIABLES}` : "";
    const said = oneLine(`${code} ${message}`).trim().slice(0, MAX_QUOTED);
    return new RunError(`MLflow at ${address}: ${what}: ${status}${said ? ` ${said}` : ""}${hint}`);
  }

  const api = (path: string) => `${address}/api/2.0/mlflow/${path}`;
  const find: MlflowClient["find"] = async (path, query, schema) => {
    const answer = await send(path, `${api(path)}?${new URLSearchParams(query)}`, { method: "GET" });
    if (typeof answer !== "string" && answer.code === "RESOURCE_DOES_NOT_EXIST") return undefined;
    return checked(path, answer, schema);
  };
  return {
    address,
    find,
    async post(path, body, schema) {
      const request = { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
      return checked(path, await send(path, api(path), request), schema);
    },
    async putArtifact(path, content) {
      const url = `${address}/api/2.0/mlflow-artifacts/artifacts/${path.map(encodeURIComponent).join("/")}`;
      const what = `upload of ${path.at(-1)}`;
      const answer = await send(what, url, { method: "PUT", body: content as NonNullable<RequestInit["body"]> });
      if (typeof answer !== "string") throw failed(what, answer);
    },
  };
}

const VARIABLES = "MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD";

function checkedAddress(uri: string): string {
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  if (!url || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new InputError(`--mlflow ${uri}: give a server's address, such as http://127.0.0.1:5000`);
  }
  if (url.username || url.password) {
    throw new InputError(`--mlflow ${url.protocol}//...@${url.host}: give no password in an address; set ${VARIABLES}`);
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

function authorization(credentials: MlflowCredentials): string {
  if ("token" in credentials) return `Bearer ${credentials.token}`;
  const { username, password } = credentials;
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `no answer within ${TIMEOUT_MILLISECONDS / 1000} seconds`;
  // fetch says "fetch failed", its cause what happened.
  return oneLine(error.cause instanceof Error ? error.cause.message || String(error.cause) : error.message);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
