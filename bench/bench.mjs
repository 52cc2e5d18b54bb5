// Times pare on a real checkpoint, beside another program where one is given. See bench/README.md.
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { sampleWindows } from "../dist/calibration/sampling.js";
import { loadSource } from "../dist/data/sources.js";
import { evaluationWindows } from "../dist/data/windows.js";
import { loadTokenizer } from "../dist/tokenizer/tokenizer.js";
import { median, runJob, runPeer, saveWindows } from "./support.mjs";

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
    // Windows of token ids in place of C4's and WikiText-2's, for a model without a tokenizer; see scripts/make-llama-shape.mjs.
    ids: { type: "string" },
    engine: { type: "string" },
    precision: { type: "string", default: "float32" },
    // Print what share of the machine's limit each stage reaches; measuring the limit takes a second of compress.
    profile: { type: "boolean", default: false },
  },
});
const computed = { precision: args.precision, ...(args.engine && { engine: args.engine }) };
if (!args.model) {
  console.error("bench: --model FOLDER is missing; any LLaMA-type checkpoint will do");
  process.exit(2);
}

const work = await mkdtemp(join(tmpdir(), "pare-bench-"));
try {
  const record = await bench();
  await mkdir(join(here, "results"), { recursive: true });
  const file = join(here, "results", `${record.date.slice(0, 10)}-${record.model}-${record.precision}.json`);
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
      const { model, profile } = args;
      const compress = await runJob("compress", { model, output, method, windows, profile, ...computed });
      const evaluate = await runJob("evaluate", { model: output, base: model, windows: evaluation, ...computed });
      const peer = args.peer ? await timePeer(method, windows, evaluation) : undefined;
      runs.push({ compress, evaluate, peer });
      print(method, runs.at(-1));
      await rm(output, { recursive: true, force: true });
    }
    const middle = (of) => median(runs.map(of));
    const row = {
      method,
      compressSeconds: middle((r) => r.compress.wall),
      evaluateSeconds: middle((r) => r.evaluate.wall),
      compressPeakMB: Math.max(...runs.map((r) => r.compress.peakMB)),
      evaluatePeakMB: Math.max(...runs.map((r) => r.evaluate.peakMB)),
      ...(args.peer && {
        compressRatio: middle((r) => sum(r.compress, ["calibrate", "compress", "propagate"]) / peerCompress(r.peer)),
        compressWallRatio: middle((r) => r.compress.wall / peerCompress(r.peer)),
        evaluateRatio: middle((r) => sum(r.evaluate, ["blocks", "head", "figures"]) / r.peer.seconds.evaluate),
        evaluateWallRatio: middle((r) => r.evaluate.wall / r.peer.seconds.evaluate),
      }),
      runs,
    };
    rows.push(row);
    if (args.peer) {
      const ratios = (of, all) => `${of.toFixed(2)}x (${all.toFixed(2)}x with reading and writing)`;
      console.log(
        `${method}: compress ${ratios(row.compressRatio, row.compressWallRatio)}, ` +
          `evaluate ${ratios(row.evaluateRatio, row.evaluateWallRatio)} of the peer's time`,
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
    precision: args.precision,
    engine: args.engine ?? "auto",
    rows,
  };
}

/** The windows of token ids that pare and the peer both read. */
async function writeWindows(calibration, evaluation, dataDirectory) {
  const length = +args.length;
  if (args.ids) {
    const { windows } = JSON.parse(await readFile(args.ids, "utf8"));
    const own = windows.map((ids) => ids.slice(0, length));
    await saveWindows(calibration, own.slice(0, +args.windows));
    await saveWindows(evaluation, own.slice(-Number(args["evaluation-windows"])));
    return;
  }
  const tokenizer = await loadTokenizer(args.model);
  const c4 = await loadSource("c4", { purpose: "calibration", dataDirectory });
  const choice = { samples: +args.windows, sequenceLength: length, seed: 0, sampling: "default" };
  const wikitext = await loadSource("wikitext2", { purpose: "evaluation", dataDirectory });
  const measured = evaluationWindows(wikitext, tokenizer, { length, count: +args["evaluation-windows"] });
  await saveWindows(calibration, sampleWindows(c4, tokenizer, choice).windows);
  await saveWindows(evaluation, measured);
}

/** Of the stages that the peer has too: it reads before it begins to count, and writes nothing. */
function sum({ seconds }, stages) {
  return stages.reduce((all, stage) => all + (seconds[stage] ?? 0), 0);
}

function peerCompress(peer) {
  return sum(peer, ["calibrate", "solve", "propagate"]);
}

function print(method, { compress, evaluate, peer }) {
  const stages = ({ seconds }) =>
    Object.entries(seconds)
      .map(([name, s]) => `${name} ${s.toFixed(1)}`)
      .join(", ");
  console.log(`${method} compress: ${compress.wall.toFixed(1)} s (${stages(compress)}), peak ${compress.peakMB} MB`);
  for (const { stage, gigaflops, share } of compress.profile?.stages ?? []) {
    if (share) console.log(`  ${stage}: ${gigaflops.toFixed(0)} GFLOP/s, ${(100 * share).toFixed(0)}% of the limit`);
  }
  console.log(
    `${method} evaluate: ${evaluate.wall.toFixed(1)} s (${stages(evaluate)}), peak ${evaluate.peakMB} MB, ${figures(evaluate)}`,
  );
  if (peer) console.log(`${method} peer: ${stages(peer)}; ${figures(peer)}`);
}

function figures({ perplexity, jsd }) {
  return `perplexity ${perplexity.toFixed(4)}, JSD ${jsd.toFixed(6)}`;
}

async function timePeer(method, calibration, evaluation) {
  const files = ["--model", args.model, "--calibration", calibration, "--evaluation", evaluation];
  const how = ["--method", method, "--sparsity", "0.5", "--dtype", args.precision, "--fast"];
  const { seconds, perplexity, jsd } = await runPeer(args.peer, [...files, ...how]);
  return { seconds, perplexity, jsd };
}
