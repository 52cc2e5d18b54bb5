import type { AddressInfo } from "node:net";
import { createAdaptorServer, type HttpBindings } from "@hono/node-server";
import { type Context, Hono } from "hono";
import { streamSSE } from "hono/streaming";
import { errorCode } from "../checkpoint/folder.js";
import { InputError } from "../errors.js";
import type { LiveEndpoints, ReportDocument } from "./report-data.js";
import { type StudyState, studyState, watchStudy } from "./watch.js";
import { reportJson, reportPage, reportPolicy } from "./write.js";

const ADDRESS = "127.0.0.1";
const MAX_PORT = 65_535;
/** How often the folder is looked at. */
const POLL_MILLISECONDS = 1000;
/** Keeps connections from being taken for dead. */
const HEARTBEAT_MILLISECONDS = 15_000;
/** Pages that may listen at one time. */
const MAX_LISTENERS = 64;

const ENDPOINTS: LiveEndpoints = { events: "/events", document: "/data.json" };

export interface ServeOptions {
  readonly directory: string;
  /** 0: any that is free. */
  readonly port: number;
  /** The page without data: reportTemplate(). */
  readonly template: string;
  /** Reads the study's folder anew. */
  readonly load: () => Promise<ReportDocument>;
  readonly pollMilliseconds?: number;
}

export interface ReportServer {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves a study's report to this machine's browsers, live: GET `/` (the page), `/data.json` (its data) and `/events`
 * (server-sent events: `progress` {text, done, total}, and `changed`), nothing else. Throws InputError for a port that is
 * taken, and what `load` throws at the beginning.
 */
export async function serveReport(options: ServeOptions): Promise<ReportServer> {
  const { directory, port, template, pollMilliseconds = POLL_MILLISECONDS } = options;
  if (port > MAX_PORT) throw new InputError(`--port ${port}: give a number from 0 to ${MAX_PORT}`);
  const document = createCache(options);
  let state = await studyState(directory);
  await document();
  const listeners = new Set<Listener>();
  const app = createApp(template, document, () => state, listeners);
  const server = createAdaptorServer({ fetch: app.fetch });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(listenError(error, port)));
    server.listen(port, ADDRESS, resolve);
  });
  const stop = watchStudy(directory, state, pollMilliseconds, (now, before) => {
    state = now;
    for (const tell of listeners) tell(now.results !== before.results);
  });
  return {
    url: `http://${ADDRESS}:${(server.address() as AddressInfo).port}/`,
    close: () =>
      new Promise((resolve) => {
        stop();
        server.close(() => resolve());
        if ("closeAllConnections" in server) server.closeAllConnections();
      }),
  };
}

/** Told when there is something new: results, or progress alone. */
type Listener = (isResult: boolean) => void;

function createApp(
  template: string,
  document: () => Promise<ReportDocument>,
  state: () => StudyState,
  listeners: Set<Listener>,
) {
  const app = new Hono<{ Bindings: HttpBindings }>();
  const headers = securityHeaders(template);
  app.use(async (context, next) => {
    const refusal = refuse(context);
    if (refusal) context.res = refusal;
    else await next();
    for (const [name, value] of Object.entries(headers)) context.res.headers.set(name, value);
  });
  app.get("/", async (context) => context.html(reportPage(template, await document(), ENDPOINTS)));
  app.get(ENDPOINTS.document, async (context) =>
    context.body(reportJson(await document()), 200, { "Content-Type": "application/json; charset=utf-8" }),
  );
  app.get(ENDPOINTS.events, (context) => {
    if (listeners.size >= MAX_LISTENERS) return context.text("too many pages listen already", 503);
    return streamSSE(context, async (stream) => {
      const send = async () => {
        const progress = await document().then(
          (now) => progressOf(now, state()),
          () => undefined,
        );
        if (progress) await stream.writeSSE({ event: "progress", data: JSON.stringify(progress) });
      };
      const tell = async (isResult: boolean) => {
        await send();
        if (isResult) await stream.writeSSE({ event: "changed", data: "{}" });
      };
      const closed = new Promise<void>((resolve) => {
        const heartbeat = setInterval(() => stream.write(": still here\n\n"), HEARTBEAT_MILLISECONDS);
        listeners.add(tell);
        stream.onAbort(() => {
          clearInterval(heartbeat);
          listeners.delete(tell);
          resolve();
        });
      });
      await send();
      await closed;
    });
  });
  app.notFound((context) => context.text("there is no such page here", 404));
  app.onError((error, context) =>
    context.text(error instanceof InputError ? error.message : "the study cannot be read at this moment", 500),
  );
  return app;
}

/**
 * The answer to a request that is not served. The Host check keeps pages from elsewhere out, whose name may lead to this
 * machine (DNS rebinding); the path is compared as it was sent, before anybody resolves its dots.
 */
function refuse(context: Context<{ Bindings: HttpBindings }>): Response | undefined {
  const { incoming } = context.env;
  const { host } = incoming.headers;
  const port = incoming.socket.localPort;
  if (![ADDRESS, "localhost"].some((name) => host === `${name}:${port}` || (port === 80 && host === name))) {
    return context.text("this server answers to 127.0.0.1 and localhost alone", 403);
  }
  if (incoming.method !== "GET" && incoming.method !== "HEAD") {
    return context.text("read only", 405, { Allow: "GET, HEAD" });
  }
  const [path] = (incoming.url ?? "").split("?");
  const isServed = path === "/" || path === ENDPOINTS.document || path === ENDPOINTS.events;
  if (!isServed) return context.text("there is no such page here", 404);
  // A HEAD of the events would listen without anybody to hear.
  if (incoming.method === "HEAD" && path === ENDPOINTS.events) {
    return context.body(null, 200, { "Content-Type": "text/event-stream" });
  }
  return undefined;
}

function securityHeaders(template: string): Readonly<Record<string, string>> {
  return {
    "Content-Security-Policy": `${reportPolicy(template, true)}; frame-ancestors 'none'`,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
  };
}

/** The document, read again only when the folder has changed. */
function createCache({ directory, load }: ServeOptions): () => Promise<ReportDocument> {
  let known: { readonly of: string; readonly document: Promise<ReportDocument> } | undefined;
  return async () => {
    const { results: now } = await studyState(directory);
    if (known?.of !== now) {
      const document = load();
      known = { of: now, document };
      document.catch(() => {
        if (known?.document === document) known = undefined;
      });
    }
    return known.document;
  };
}

function progressOf({ data }: ReportDocument, { working, failed }: StudyState) {
  const done = data.cells.length;
  const total = done + data.missing.length;
  const text = [
    `${done} of ${total} cells finished`,
    ...(working > 0 ? [`${working} in work`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
  ].join(", ");
  return { text, done, total };
}

function listenError(error: Error, port: number): Error {
  const code = errorCode(error);
  if (code === "EADDRINUSE") return new InputError(`--port ${port}: another program listens there; name another`);
  if (code === "EACCES") return new InputError(`--port ${port}: the system does not allow it; name one above 1023`);
  return error;
}
