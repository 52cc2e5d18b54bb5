// Times pare on a real checkpoint, beside another program where one is given. See bench/README.md.
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { sampleWindows } from "../dist/calibration/sampling.js";
import { loadSource } from "../dist/data/sources.js";
import { evaluationWindows } from "../dist/data/windows.js";
import { loadTokenizer } from "../dist/tokenizer/tokenizer.js";

const run = promisify(execFile);
const here = fileURLToPath(new URL(".", import.meta.url));
const { values: args } = parseArgs({
  options: {
    model: { type: "string" },
    "data-dir": { type: "string", default: process.env.PARE_DATA },
    peer: { type: "string" },
    runs: { type: "string", default: "1" },
    methods: { type: "string", default: "wanda,sparsegpt" },
    windows: { type: "string", default: "32" },
    "evaluation-windows": { type: "string", default: "4" },
    length: { type: "string", default: "1024" },
  },
});
if (!args.model) {
  console.error("bench: --model FOLDER is missing; any LLaMA-type checkpoint will do");
  process.exit(2);
}

const work = await mkdtemp(join(tmpdir(), "pare-bench-"));
try {
  const record = await bench();
  await mkdir(join(here, "results"), { recursive: true });
  const file = join(here, "results", `${record.date.slice(0, 10)}.json`);
  await writeFile(file, `${JSON.stringify(record, null, 2)}\n`);
  console.log(`\nkept in ${file}`);
} finally {
  await rm(work, { recursive: true, force: true });
}

async function bench() {
  const dataDirectory = args["data-dir"];
  const windows = join(work, "calibration.json");
  const evaluation = join(work, "evaluation.json");
  await writeWindows(windows, evaluation, dataDirectory);
  const rows = [];
  for (const method of args.methods.split(",")) {
    const runs = [];
    for (let i = 0; i < +args.runs; i++) {
      const output = join(work, method);
      const compress = await child("compress", { model: args.model, output, method, windows });
      const evaluate = await child("evaluate", { model: output, base: args.model, windows: evaluation });
      const peer = args.peer ? await runPeer(method, windows, evaluation) : undefined;
      runs.push({ compress, evaluate, peer });
      print(method, runs.at(-1));
      await rm(output, { recursive: true, force: true });
    }
    const median = (of) => runs.map(of).sort((a, b) => a - b)[Math.floor(runs.length / 2)];
    const row = {
      method,
      compressSeconds: median((r) => r.compress.wall),
      evaluateSeconds: median((r) => r.evaluate.wall),
      compressPeakMB: Math.max(...runs.map((r) => r.compress.peakMB)),
      evaluatePeakMB: Math.max(...runs.map((r) => r.evaluate.peakMB)),
      ...(args.peer && {
        compressRatio: median((r) => r.compress.wall / peerCompress(r.peer)),
        evaluateRatio: median((r) => r.evaluate.wall / r.peer.seconds.evaluate),
      }),
      runs,
    };
    rows.push(row);
    if (args.peer) {
      console.log(
        `${method}: compress ${row.compressRatio.toFixed(2)}x, evaluate ${row.evaluateRatio.toFixed(2)}x of the peer's time`,
      );
    }
  }
  return {
    date: new Date().toISOString(),
    processor: cpus()[0].model,
    cores: cpus().length,
    node: process.version,
    model: args.model.split("/").at(-1),
    windows: +args.windows,
    length: +args.length,
    rows,
  };
}

/** The windows of token ids that pare and the peer both read. */
async function writeWindows(calibration, evaluation, dataDirectory) {
  const tokenizer = await loadTokenizer(args.model);
  const length = +args.length;
  const c4 = await loadSource("c4", { purpose: "calibration", dataDirectory });
  const choice = { samples: +args.windows, sequenceLength: length, seed: 0, sampling: "default" };
  const wikitext = await loadSource("wikitext2", { purpose: "evaluation", dataDirectory });
  const measured = evaluationWindows(wikitext, tokenizer, { length, count: +args["evaluation-windows"] });
  const save = (file, list) => writeFile(file, JSON.stringify({ windows: list.map((window) => [...window]) }));
  await save(calibration, sampleWindows(c4, tokenizer, choice).windows);
  await save(evaluation, measured);
}

function peerCompress({ seconds }) {
  return seconds.calibrate + seconds.solve + seconds.propagate;
}

function print(method, { compress, evaluate, peer }) {
  const stages = ({ seconds }) =>
    Object.entries(seconds)
      .map(([name, s]) => `${name} ${s.toFixed(1)}`)
      .join(", ");
  console.log(`${method} compress: ${compress.wall.toFixed(1)} s (${stages(compress)}), peak ${compress.peakMB} MB`);
  console.log(`${method} evaluate: ${evaluate.wall.toFixed(1)} s, peak ${evaluate.peakMB} MB, ${figures(evaluate)}`);
  if (peer) console.log(`${method} peer: ${stages(peer)}; ${figures(peer)}`);
}

function figures({ perplexity, jsd }) {
  return `perplexity ${perplexity.toFixed(4)}, JSD ${jsd.toFixed(6)}`;
}

/** One job of job.mjs in a process of its own; what it prints as JSON. */
async function child(job, options) {
  const { stdout } = await run(process.execPath, [join(here, "job.mjs"), job, JSON.stringify(options)], {
    maxBuffer: 1e9,
  });
  return JSON.parse(stdout);
}

async function runPeer(method, calibration, evaluation) {
  const [command, ...first] = args.peer.split(" ");
  const { stdout } = await run(
    command,
    [
      ...first,
      "--model",
      args.model,
      "--calibration",
      calibration,
      "--evaluation",
      evaluation,
      "--method",
      method,
    ].concat(["--sparsity", "0.5", "--dtype", "float32", "--fast"]),
    { maxBuffer: 1e9 },
  );
  const { seconds, perplexity, jsd } = JSON.parse(stdout);
  return { seconds, perplexity, jsd };
}
