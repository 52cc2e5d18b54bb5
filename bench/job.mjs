// One job of a benchmark in a process of its own, so that its peak memory is its own. Prints one JSON object.
import { existsSync, readFileSync } from "node:fs";
import { compress, evaluate } from "pare";

const jobs = {
  async compress({ windows, ...options }) {
    const common = { sparsity: 0.5, calibration: windows, force: true };
    const { seconds, sparsity, profile } = await compress({ ...common, ...options });
    return { seconds, sparsity, profile };
  },
  async evaluate({ windows, ...options }) {
    const { seconds, perplexity, jsd } = await evaluate({ data: windows, ...options });
    return { seconds, perplexity: perplexity.compressed, jsd: jsd.mean };
  },
};

const [, , job, options] = process.argv;
const begin = performance.now();
const result = await jobs[job](JSON.parse(options));
const wall = (performance.now() - begin) / 1000;
// Linux's maxRSS begins with what the process held that started this one.
const status = existsSync("/proc/self/status") ? readFileSync("/proc/self/status", "utf8") : "";
const peak = Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? process.resourceUsage().maxRSS);
console.log(JSON.stringify({ ...result, wall, peakMB: Math.round(peak / 1024) }));
