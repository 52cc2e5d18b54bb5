// One job of a benchmark in a process of its own, so that its peak memory is its own. Prints one JSON object.
import { compress, evaluate } from "pare";

const jobs = {
  async compress({ model, output, method, windows }) {
    const { seconds, sparsity } = await compress({
      model,
      output,
      method,
      sparsity: 0.5,
      calibration: windows,
      force: true,
    });
    return { seconds, sparsity };
  },
  async evaluate({ model, base, windows }) {
    const { seconds, perplexity, jsd } = await evaluate({ model, base, data: windows });
    return { seconds, perplexity: perplexity.compressed, jsd: jsd.mean };
  },
};

const [, , job, options] = process.argv;
const begin = performance.now();
const result = await jobs[job](JSON.parse(options));
const wall = (performance.now() - begin) / 1000;
console.log(JSON.stringify({ ...result, wall, peakMB: Math.round(process.resourceUsage().maxRSS / 1024) }));
