// How far bfloat16 is from float32, position by position: pare's beside PyTorch's. See docs/accuracy.md.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { compress, evaluate } from "pare";
import { loadSource } from "../dist/data/sources.js";
import { evaluationWindows } from "../dist/data/windows.js";
import { loadTokenizer } from "../dist/tokenizer/tokenizer.js";
import { runPeer, saveWindows } from "./support.mjs";

const { values: args } = parseArgs({
  options: {
    model: { type: "string" },
    peer: { type: "string" },
    "data-dir": { type: "string", default: process.env.PARE_DATA },
    engine: { type: "string" },
  },
});
const { model, peer, engine } = args;
if (!model || !peer) {
  console.error('precision: --model FOLDER and --peer "python3 reference.py" are needed');
  process.exit(2);
}

const COUNT = 8;
const LENGTH = 512;
const precisions = ["float32", "bfloat16"];
const work = await mkdtemp(join(tmpdir(), "pare-precision-"));
const [windows, compressed] = ["windows.json", "compressed"].map((name) => join(work, name));
try {
  const source = await loadSource("wikitext2", { purpose: "evaluation", dataDirectory: args["data-dir"] });
  const tokenizer = await loadTokenizer(model);
  await saveWindows(windows, evaluationWindows(source, tokenizer, { length: LENGTH, count: COUNT }));
  await compress({ model, output: compressed, method: "magnitude", sparsity: 0.5 });
  const rows = [];
  for (const [name, measure] of Object.entries({ pare: byPare, peer: byPeer })) {
    const found = [];
    for (const precision of precisions) found.push(await measure(precision));
    rows.push(...precisions.map((precision, i) => row(`${name} ${precision}`, found[i], i > 0 ? found[0] : undefined)));
  }
  console.table(rows);
} finally {
  await rm(work, { recursive: true, force: true });
}

/** Every position's figures. */
async function byPare(precision) {
  const perToken = join(work, `${precision}.jsonl`);
  await evaluate({ model: compressed, base: model, data: windows, precision, perToken, ...(engine && { engine }) });
  const lines = (await readFile(perToken, "utf8")).trim().split("\n");
  return lines.map((line) => JSON.parse(line)).map(({ lossBase, loss, jsd }) => ({ lossBase, loss, jsd }));
}

async function byPeer(precision) {
  const options = ["--model", model, "--evaluation", windows, "--method", "magnitude", "--sparsity", "0.5"];
  const { tokens } = await runPeer(peer, [...options, "--dtype", precision, "--tokens", String(COUNT * LENGTH)]);
  return tokens.map(({ nll_base: lossBase, nll: loss, jsd }) => ({ lossBase, loss, jsd }));
}

function row(name, figures, exact) {
  const mean = (key) => figures.reduce((sum, one) => sum + one[key], 0) / figures.length;
  const difference = (key) => {
    if (!exact) return "";
    const all = figures.map((one, i) => Math.abs(one[key] - exact[i][key]));
    const square = all.reduce((sum, one) => sum + one * one, 0) / all.length;
    return `${Math.sqrt(square).toPrecision(2)} (${Math.max(...all).toPrecision(2)})`;
  };
  return {
    name,
    positions: figures.length,
    "perplexity of the base": Math.exp(mean("lossBase")).toFixed(4),
    perplexity: Math.exp(mean("loss")).toFixed(2),
    JSD: mean("jsd").toFixed(5),
    "loss, base: rms (largest)": difference("lossBase"),
    "loss: rms (largest)": difference("loss"),
    "JSD: rms (largest)": difference("jsd"),
  };
}
