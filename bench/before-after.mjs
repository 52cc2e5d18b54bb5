// Whether a change cost speed: the same jobs by this checkout and by another one, built, in turn. Prints ratios after / before.
//
//   npm run build && node bench/before-after.mjs --before ../pare-before --model FOLDER --data-dir DATA [--runs 3]
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { sampleWindows } from "../dist/calibration/sampling.js";
import { loadSource } from "../dist/data/sources.js";
import { loadTokenizer } from "../dist/tokenizer/tokenizer.js";
import { median, runJob, saveWindows } from "./support.mjs";

const { values: args } = parseArgs({
  options: {
    before: { type: "string" },
    model: { type: "string" },
    "data-dir": { type: "string", default: process.env.PARE_DATA },
    runs: { type: "string", default: "3" },
    windows: { type: "string", default: "6" },
    length: { type: "string", default: "1024" },
  },
});
if (!args.before || !args.model) throw new Error("--before CHECKOUT and --model FOLDER are needed");
const { before, model } = args;

const work = await mkdtemp(join(tmpdir(), "pare-before-"));
try {
  const c4 = await loadSource("c4", { purpose: "calibration", dataDirectory: args["data-dir"] });
  const choice = { samples: +args.windows, sequenceLength: +args.length, seed: 0, sampling: "default" };
  const { windows } = sampleWindows(c4, await loadTokenizer(model), choice);
  const [many, few] = [join(work, "windows.json"), join(work, "two.json")];
  await saveWindows(many, windows);
  await saveWindows(few, windows.slice(0, 2));
  const output = join(work, "pruned");
  const jobs = {
    wanda: ["compress", { model, output, method: "wanda", windows: many }],
    sparsegpt: ["compress", { model, output, method: "sparsegpt", windows: many }],
    evaluate: ["evaluate", { model: output, base: model, windows: few }],
  };
  const ratios = Object.fromEntries(Object.keys(jobs).map((name) => [name, []]));
  for (let i = 0; i < +args.runs; i++) {
    for (const [name, job] of Object.entries(jobs)) {
      const { wall: earlier } = await runJob(...job, before);
      const { wall: now } = await runJob(...job);
      ratios[name].push(now / earlier);
    }
  }
  for (const [name, all] of Object.entries(ratios)) {
    const [middle, least, most] = [median(all), Math.min(...all), Math.max(...all)].map((ratio) => ratio.toFixed(3));
    console.log(`${name}: ${middle} of the time before (${least} to ${most})`);
  }
} finally {
  await rm(work, { recursive: true, force: true });
}
