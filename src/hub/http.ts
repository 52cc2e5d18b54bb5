import { setTimeout as wait } from "node:timers/promises";
import { InputError, RunError, throwIfAborted } from "../errors.js";
import type { OnProgress } from "../progress.js";
import { version } from "../version.js";
import { type HubSettings, hubSettings } from "./settings.js";

/** Tries in a row that bring nothing new, before the hub is given up. */
const MAX_TRIES = 5;
const MAX_REDIRECTS = 10;
const TRY_AGAIN = /; try again later.*$/;
/** The hub counts requests in windows of five minutes; who has to wait longer is told so at once. */
const MAX_RETRY_AFTER_SECONDS = 300;

export interface HubOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
  /** The environment's where not given. */
  readonly settings?: HubSettings;
}

export interface HubContext {
  readonly settings: HubSettings;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress: OnProgress;
}

export async function hubContext({ settings, signal, onProgress = () => {} }: HubOptions): Promise<HubContext> {
  return { settings: settings ?? (await hubSettings()), signal, onProgress };
}

/** What is asked for, as errors name it. */
export interface Subject {
  /** `org/name@revision` */
  readonly repository: string;
  readonly type: "model" | "dataset";
  readonly revision: string;
  /** The page on the hub where access is asked for. */
  readonly page: string;
  readonly file?: string;
}

/** An answer whose body is still to be read. */
export interface Exchange {
  readonly status: number;
  readonly headers: Headers;
  /** The body; to be read to its end, or left by break or return. Throws TemporaryFailure where it breaks off or stalls. */
  chunks(): AsyncGenerator<Uint8Array>;
  /** Ends the connection without the body. */
  close(): void;
}

/** Something that may be different at the next try. */
export class TemporaryFailure extends Error {
  override readonly name = "TemporaryFailure";
  readonly retryAfterSeconds: number | undefined;
  constructor(message: string, retryAfterSeconds?: number) {
    super(message);
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/**
 * Does something over until it comes through; waits longer each time, or as long as the server says. `attempt` calls what it is
 * given whenever it got further than before: then it may try as often again. Throws RunError after `tries` in vain.
 */
export async function persistently<T>(
  what: string,
  { settings, signal, onProgress }: HubContext,
  attempt: (gotFurther: () => void) => Promise<T>,
  tries = MAX_TRIES,
): Promise<T> {
  let failures = 0;
  const gotFurther = () => {
    failures = 0;
  };
  for (;;) {
    throwIfAborted(signal);
    try {
      return await attempt(gotFurther);
    } catch (error) {
      throwIfAborted(signal);
      if (!(error instanceof TemporaryFailure)) throw error;
      const seconds = error.retryAfterSeconds ?? settings.firstRetrySeconds * 2 ** failures;
      failures++;
      if (failures >= tries || seconds > MAX_RETRY_AFTER_SECONDS) {
        const later = error.retryAfterSeconds === undefined ? "" : `, in ${Math.ceil(seconds)} seconds or more`;
        const message = `${what}: ${error.message}; try again later${later}: what is there by now is kept`;
        throw new RunError(message, { cause: error });
      }
      if (seconds >= 1) {
        onProgress({ kind: "warning", message: `${what}: ${error.message}; next try in ${Math.ceil(seconds)} s` });
      }
      await wait(seconds * 1000, undefined, signal ? { signal } : {}).catch(() => {});
    }
  }
}

/** Says that the hub was not reached and what is there is used. */
export function goOnWithCopy(error: RunError, commit: string, { onProgress }: HubContext): void {
  const message = error.message.replace(TRY_AGAIN, "");
  onProgress({ kind: "warning", message: `${message}; going on with the copy of commit ${commit}` });
}

/**
 * One GET, redirects followed. The token goes to the endpoint's own origin and nowhere else. Throws TemporaryFailure for what
 * may pass, InputError for a refusal, with what to do about it.
 */
export async function get(
  url: string,
  { settings, signal }: HubContext,
  subject: Subject,
  range?: string,
): Promise<Exchange> {
  const home = new URL(settings.endpoint).origin;
  const controller = new AbortController();
  const guard = createGuard(controller, settings.timeoutSeconds);
  const onAbort = () => controller.abort();
  signal?.addEventListener("abort", onAbort, { once: true });
  const close = () => {
    signal?.removeEventListener("abort", onAbort);
    guard.stop();
    controller.abort();
  };
  try {
    let next = new URL(url);
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      throwIfAborted(signal);
      const headers: Record<string, string> = { "accept-encoding": "identity", "user-agent": `pare/${version}` };
      if (range !== undefined) headers["range"] = range;
      if (settings.token !== undefined && next.origin === home) headers["authorization"] = `Bearer ${settings.token}`;
      guard.start();
      const response = await fetch(next, { headers, redirect: "manual", signal: controller.signal }).catch(
        (error: unknown) => {
          throwIfAborted(signal);
          throw broken(next.host, error, guard.hasStalled());
        },
      );
      guard.stop();
      const { status } = response;
      const location = response.headers.get("location");
      if ([301, 302, 303, 307, 308].includes(status) && location !== null) {
        await response.body?.cancel();
        next = redirected(next, location);
        continue;
      }
      if (status >= 400 && status !== 416) throw refusal(response, next, settings, subject);
      return { status, headers: response.headers, chunks: () => read(response, next, guard, close, signal), close };
    }
    throw new RunError(`${subject.repository}: ${next.host} redirects again and again; check HF_ENDPOINT`);
  } catch (error) {
    close();
    throw error;
  }
}

/** The body as JSON. Throws RunError where it is none or has more than `limit` bytes. */
export async function readJson({ chunks }: Exchange, limit: number, subject: Subject): Promise<unknown> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks()) {
    size += chunk.length;
    if (size > limit) throw new RunError(`${subject.repository}: the hub's answer has more than ${limit} bytes`);
    parts.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString("utf8"));
  } catch (cause) {
    throw new RunError(`${subject.repository}: the answer is no JSON; check that HF_ENDPOINT is a hub`, { cause });
  }
}

async function* read(
  response: Response,
  url: URL,
  guard: Guard,
  close: () => void,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  try {
    if (response.body === null) return;
    const reader = response.body.getReader();
    for (;;) {
      guard.start();
      const { done, value } = await reader.read().catch((error: unknown) => {
        throwIfAborted(signal);
        throw broken(url.host, error, guard.hasStalled());
      });
      guard.stop();
      if (done) return;
      yield value;
    }
  } finally {
    close();
  }
}

interface Guard {
  start(): void;
  stop(): void;
  hasStalled(): boolean;
}

/** Ends a connection on which nothing comes between start and stop. */
function createGuard(controller: AbortController, seconds: number): Guard {
  let timer: NodeJS.Timeout | undefined;
  let stalled = false;
  const stop = () => clearTimeout(timer);
  return {
    start() {
      stop();
      timer = setTimeout(() => {
        stalled = true;
        controller.abort();
      }, seconds * 1000);
    },
    stop,
    hasStalled: () => stalled,
  };
}

/** Where a redirect leads. Addresses are not shown whole: those of files are signed, and good for whoever has them. */
function redirected(from: URL, location: string): URL {
  const url = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || (from.protocol === "https:" && url.protocol === "http:")) {
    throw new RunError(`${from.host}: redirects to an address that is not encrypted or none at all; check HF_ENDPOINT`);
  }
  return url;
}

function broken(host: string, error: unknown, hasStalled: boolean): TemporaryFailure {
  if (hasStalled) return new TemporaryFailure(`${host} does not answer`);
  const cause = error instanceof Error ? error.cause : undefined;
  const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : "cut";
  const reason = /^(ENOTFOUND|EAI_AGAIN)$/.test(code)
    ? "is not found: no network?"
    : `: the connection broke (${code})`;
  return new TemporaryFailure(`${host}${reason.startsWith(":") ? "" : " "}${reason}`);
}

/** Seconds to wait, as HTTP says it: a number, a date, or what is left of a window of counted requests. */
function retryAfter(headers: Headers): number | undefined {
  const text = headers.get("retry-after");
  const window = /;\s*r\s*=\s*0\s*;\s*t\s*=\s*(\d+)/.exec(headers.get("ratelimit") ?? "")?.[1];
  const seconds = Number(text ?? window ?? Number.NaN);
  const value = Number.isNaN(seconds) ? (Date.parse(text ?? "") - Date.now()) / 1000 : seconds;
  return Number.isNaN(value) ? undefined : Math.max(0, value);
}

/** Why the server gives nothing, by the codes that the hub sends. */
function refusal({ status, headers }: Response, url: URL, settings: HubSettings, subject: Subject): Error {
  if (status === 408 || status === 429 || status >= 500) {
    const what = status === 429 ? "too many requests" : "trouble on its side";
    return new TemporaryFailure(`${url.host} answers ${status}, ${what}`, retryAfter(headers));
  }
  const { repository, revision, page, file } = subject;
  const hasToken = settings.token !== undefined;
  const code = headers.get("x-error-code");
  const say = (text: string) => new InputError(`${repository}: ${text}`);
  if (code === "GatedRepo") {
    return say(
      hasToken
        ? `gated, and your token has no access to it; ask for it on ${page}, and see that the token may read gated repositories`
        : `gated; ask for access on ${page}, then set HF_TOKEN to a token of yours`,
    );
  }
  if (code === "RevisionNotFound")
    return say(`the hub has no revision ${revision} of it; see ${page} for those there are`);
  if (code === "EntryNotFound")
    return say(`has no file ${file ?? ""} at this revision; see ${page} for those there are`);
  if (headers.get("x-error-message") === "Access to this resource is disabled.") {
    return say("the hub has disabled access to it; choose another");
  }
  if (status === 401 && headers.get("x-error-message")?.startsWith("Invalid credentials")) {
    return say("the hub does not accept your token; correct HF_TOKEN, or unset it for what is public");
  }
  if (code === "RepoNotFound" || status === 401 || status === 404) {
    const advice = hasToken
      ? "check the name, and that your token may read it if it is private"
      : "check the name; if it is private, set HF_TOKEN to a token that may read it";
    const nor = subject.type === "model" ? "no such folder, and no such model" : "no such data set";
    return say(`${nor} on the hub; ${advice}`);
  }
  if (status === 403) return say(`the hub does not let ${hasToken ? "your token" : "you"} read it; see ${page}`);
  return new RunError(`${repository}: ${url.host} answers ${status}; check HF_ENDPOINT`);
}
