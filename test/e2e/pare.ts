import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const main = join(root, "dist/cli/main.js");

/** The small model that is carried. */
export const stories = join(root, "assets/models/stories260K");

interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface RunOptions {
  /** Undefined: not set. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Called every few milliseconds; where it gives true, the process gets the signal. */
  readonly killWhen?: () => boolean;
  /** SIGKILL where left out, which nothing can catch. */
  readonly signal?: "SIGKILL" | "SIGINT";
  /** Called with everything that the process writes to stderr; may send it the signal. */
  readonly onStderr?: (kill: () => void, text: string) => void;
}

/** Runs the built command line as a process. */
export function pare(
  args: readonly string[],
  { env = {}, killWhen, signal = "SIGKILL", onStderr }: RunOptions = {},
): Promise<Run> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...args], {
      env: { ...process.env, PARE_DATA: "", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const watch = setInterval(() => {
      if (!killWhen?.()) return;
      clearInterval(watch);
      child.kill(signal);
    }, 2);
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
      onStderr?.(() => child.kill(signal), text);
    });
    child.on("error", reject);
    child.on("close", (code) => {
      clearInterval(watch);
      resolve({ code, stdout, stderr });
    });
  });
}

/** What is wrong with a command is said in one line on stderr, with exit code 2, and nothing on stdout. */
export async function expectRefused(args: readonly string[], message: string | RegExp): Promise<void> {
  const { code, stdout, stderr } = await pare(args);
  expect(stderr).toMatch(/^error: [^\n]*\n$/);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  if (typeof message === "string") expect(stderr).toContain(message);
  else expect(stderr).toMatch(message);
}

/** What the error for a limit that is too low asks for, in bytes. */
export async function leastMemory(...args: string[]): Promise<number> {
  const { code, stderr } = await pare([...args, "--memory", "64MiB"]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/^error: --memory 64MiB: is too little to [^\n]*; give at least \d+MiB\n$/);
  return Number(/at least (\d+)MiB/.exec(stderr)![1]) * 2 ** 20;
}
