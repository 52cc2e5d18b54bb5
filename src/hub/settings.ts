import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { isMissing } from "../checkpoint/folder.js";
import { InputError } from "../errors.js";

const DEFAULT_ENDPOINT = "https://huggingface.co";
const DEFAULT_TIMEOUT_SECONDS = 30;
const FIRST_RETRY_SECONDS = 1;

/** Where the hub is and how to speak with it. */
export interface HubSettings {
  /** Without a slash at its end. */
  readonly endpoint: string;
  /** The folder that is shared with huggingface_hub. */
  readonly cache: string;
  /** Whether nothing may be asked of the hub. */
  readonly isOffline: boolean;
  /** Sent to the endpoint's origin alone; never shown. */
  readonly token: string | undefined;
  /** After so long without a byte a connection is given up. */
  readonly timeoutSeconds: number;
  /** Before the second try; twice as long before each further one. */
  readonly firstRetrySeconds: number;
}

/**
 * The settings as the environment has them, by huggingface_hub's names and rules: HF_ENDPOINT, HF_HUB_CACHE, HF_HOME, HF_TOKEN,
 * HF_TOKEN_PATH, HF_HUB_OFFLINE, HF_HUB_DOWNLOAD_TIMEOUT. Throws InputError for what makes no sense.
 */
export async function hubSettings(env: NodeJS.ProcessEnv = process.env): Promise<HubSettings> {
  const home =
    expand(env["HF_HOME"]) ?? join(expand(env["XDG_CACHE_HOME"]) ?? join(homedir(), ".cache"), "huggingface");
  return {
    endpoint: endpointOf(env["HF_ENDPOINT"] || DEFAULT_ENDPOINT),
    cache: expand(env["HF_HUB_CACHE"]) ?? expand(env["HUGGINGFACE_HUB_CACHE"]) ?? join(home, "hub"),
    isOffline: isTrue(env["HF_HUB_OFFLINE"] || env["TRANSFORMERS_OFFLINE"]),
    token: await findToken(env, home),
    timeoutSeconds: timeoutOf(env["HF_HUB_DOWNLOAD_TIMEOUT"]),
    firstRetrySeconds: FIRST_RETRY_SECONDS,
  };
}

/** The address is not repeated in errors: it may hold a password. */
function endpointOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "") {
    throw new InputError("HF_ENDPOINT: not an address such as https://huggingface.co; correct or unset it");
  }
  if (url.username !== "" || url.password !== "") {
    throw new InputError("HF_ENDPOINT: has a user or a password in it; give a token by HF_TOKEN");
  }
  return url.href.replace(/\/+$/, "");
}

async function findToken(env: NodeJS.ProcessEnv, home: string): Promise<string | undefined> {
  if (isTrue(env["HF_HUB_DISABLE_IMPLICIT_TOKEN"])) return undefined;
  const named = (env["HF_TOKEN"] || env["HUGGING_FACE_HUB_TOKEN"])?.trim();
  if (named) return checkToken(named, "HF_TOKEN");
  const path = expand(env["HF_TOKEN_PATH"]) ?? join(home, "token");
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw new InputError(`${path}: the hub's token is there and cannot be read; correct its permissions`, { cause });
  }
  return text.trim() === "" ? undefined : checkToken(text.trim(), path);
}

/** What could not be sent would otherwise be shown by the error that says so. */
function checkToken(token: string, source: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new InputError(`${source}: holds characters that no token of the hub has; copy the token again`);
}

function timeoutOf(text: string | undefined): number {
  if (!text) return DEFAULT_TIMEOUT_SECONDS;
  const seconds = Number(text);
  if (seconds > 0 && seconds <= 3600) return seconds;
  throw new InputError("HF_HUB_DOWNLOAD_TIMEOUT: not a number of seconds from 1 to 3600; correct or unset it");
}

function isTrue(text: string | undefined): boolean {
  return /^(1|on|yes|true)$/i.test(text ?? "");
}

function expand(path: string | undefined): string | undefined {
  if (!path) return undefined;
  return /^~(?=$|[/\\])/.test(path) ? join(homedir(), path.slice(1)) : path;
}
