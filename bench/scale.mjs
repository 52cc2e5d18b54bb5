// How time and memory grow with windows, layers, hidden size and vocabulary: random models of LLaMA's architecture, one job a
// process. Prints one JSON object; docs/scale.md has what came out.
//
//   npm run build && node bench/scale.mjs [--runs 3]
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { median, runJob } from "./support.mjs";

const run = promisify(execFile);
const place = (name) => fileURLToPath(new URL(name, import.meta.url));
const { values: args } = parseArgs({ options: { runs: { type: "string", default: "3" } } });

const SHAPE = { layers: 4, hidden: 1024, intermediate: 2816, heads: 16, vocabulary: 8000, windows: 8, tokens: 512 };
const wide = (hidden) => ({ hidden, intermediate: (hidden * 11) / 4, heads: hidden / 64 });
const MEMORY = 560 * 2 ** 20;

/** What is varied, what is run, and the values. */
const SERIES = [
  { what: "windows", job: "compress", shapes: [4, 8, 16, 32].map((windows) => ({ windows })) },
  { what: "layers", job: "compress", shapes: [2, 4, 8].map((layers) => ({ layers })) },
  { what: "hidden", job: "compress", shapes: [512, 1024, 2048].map(wide) },
  {
    what: "vocabulary",
    job: "evaluate",
    shapes: [8000, 32_000, 128_000].map((vocabulary) => ({ vocabulary, windows: 4 })),
  },
  ...[{}, { memory: MEMORY }].map((options) => ({
    what: "windows",
    job: "compress",
    options,
    shapes: [8, 32, 128, 256].map((windows) => ({ windows, layers: 2 })),
  })),
];

const work = await mkdtemp(join(tmpdir(), "pare-scale-"));
const series = [];
try {
  for (const { what, job, options = {}, shapes } of SERIES) {
    const points = [];
    for (const changed of shapes) {
      const shape = { ...SHAPE, ...changed };
      const model = join(work, "model");
      const flags = Object.entries(shape).flatMap(([name, value]) => [`--${name}`, `${value}`]);
      await run(process.execPath, [place("../scripts/make-llama-shape.mjs"), model, ...flags]);
      const windows = join(model, "windows.json");
      const asked =
        job === "compress"
          ? { model, windows, method: "wanda", output: join(work, "pruned"), ...options }
          : { model, base: model, windows, ...options };
      const results = [];
      for (let i = 0; i < Number(args.runs); i++) results.push(await runJob(job, asked));
      points.push({
        [what]: shape[what],
        seconds: median(results.map(({ seconds }) => Object.values(seconds).reduce((sum, value) => sum + value, 0))),
        peakMB: Math.max(...results.map(({ peakMB }) => peakMB)),
      });
      console.error(what, JSON.stringify(points.at(-1)));
      await rm(model, { recursive: true });
    }
    series.push({ what, job, ...options, points });
  }
} finally {
  await rm(work, { recursive: true, force: true });
}
const record = {
  date: new Date().toISOString(),
  processor: cpus()[0].model,
  cores: cpus().length,
  shape: SHAPE,
  series,
};
console.log(JSON.stringify(record, null, 2));
await writeFile(place(`results/${record.date.slice(0, 10)}-scale.json`), `${JSON.stringify(record, null, 2)}\n`);
