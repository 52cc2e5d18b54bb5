// What the benchmarks share.
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const own = fileURLToPath(new URL("..", import.meta.url));

/** One job of job.mjs in a process of its own, by this checkout or another; what it prints as JSON. */
export async function runJob(job, options, checkout = own) {
  const script = join(checkout, "bench/job.mjs");
  const { stdout } = await promisify(execFile)(process.execPath, [script, job, JSON.stringify(options)], {
    maxBuffer: 1e9,
  });
  return JSON.parse(stdout);
}

/** What a peer, `python3 reference.py`, prints as JSON for these arguments. */
export async function runPeer(peer, options) {
  const [command, ...first] = peer.split(" ");
  const { stdout } = await promisify(execFile)(command, [...first, ...options], { maxBuffer: 1e9 });
  return JSON.parse(stdout);
}

/** Of an even number of values the larger of the two in the middle. */
export function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** Writes windows of token ids as every command and peer reads them. */
export function saveWindows(file, windows) {
  return writeFile(file, JSON.stringify({ windows: windows.map((window) => [...window]) }));
}
