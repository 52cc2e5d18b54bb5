// A real study on a small real model: prunes stories260K in six ways and measures what each cost, in perplexity and
// divergence, and for three of them in what the model writes.
// Run by `npm run quickstart`; also shows how the library is used.
import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { compress, evaluate } from "pare";

const model = fileURLToPath(new URL("../assets/models/stories260K", import.meta.url));
const results = fileURLToPath(new URL("../quickstart", import.meta.url));

/** Stories that each task takes. */
const TASK_ITEMS = 24;

const rows = [["method", "target", "sparsity", "perplexity", "ratio", "JSD (nats)", "same top-1"]];
const scores = [["method", "target", "task", "metric", "base", "compressed", "difference (95% interval)", "p"]];
let measured;
for (const target of [{ sparsity: 0.5 }, { pattern: "2:4" }]) {
  for (const method of ["magnitude", "wanda", "sparsegpt"]) {
    const name = target.pattern ?? String(target.sparsity);
    process.stderr.write(`${method} ${name}\n`);
    const output = `${results}/${method}-${name.replace(":", "of")}`;
    const { sparsity } = await compress({
      model,
      output,
      force: true,
      method,
      ...target,
      calibration: "tinystories",
      samples: 32,
      sequenceLength: 256,
    });
    measured = await evaluate({
      model: output,
      base: model,
      data: "tinystories",
      sequenceLength: 256,
      // One folder for all: the base answers once.
      ...(target.sparsity
        ? { tasks: ["stories-continue", "stories-last-word"], limit: TASK_ITEMS, output: `${results}/answers` }
        : {}),
    });
    const { perplexity, jsd, sameTop1 } = measured;
    if (rows.length === 1) rows.push(["none (base)", "", "0.0%", perplexity.base.toFixed(2), "1.000", "0", "100.0%"]);
    rows.push([
      method,
      name,
      percent(sparsity),
      perplexity.compressed.toFixed(2),
      perplexity.ratio.toFixed(3),
      `${jsd.mean.toFixed(4)} ± ${jsd.standardError.toFixed(4)}`,
      percent(sameTop1.mean),
    ]);
    for (const [task, metrics] of Object.entries(measured.tasks ?? {})) {
      const [metric, { base, compressed, difference, interval, p }] = Object.entries(metrics)[0];
      const range = interval.map((end) => end.toFixed(2)).join(" to ");
      const figures = [base.toFixed(3), compressed.toFixed(3), `${difference.toFixed(3)} (${range})`];
      scores.push([method, name, task, metric, ...figures, p < 1e-4 ? "<0.0001" : p.toFixed(4)]);
    }
  }
}
await rm(results, { recursive: true, force: true });

const { data, positions, environment } = measured;
console.log(`
stories260K (260,000 parameters), pruned and measured against itself

${table(rows, 2)}

Measured on ${data.windows} windows of ${data.sequenceLength} tokens of ${data.source} (${positions} positions, not those
calibrated on) by ${environment.engine} in ${environment.precision}; ± is a standard error clustered by window.
Same top-1: how often the most likely next token is still the base model's.

${table(scores, 4)}

${TASK_ITEMS} stories each: how many words of the true next 32 it writes (rouge1), and whether it ends a story with its true
last word. p: of no difference on the same stories, by McNemar's exact test for exact_match, by permutation for rouge1.`);

function table(lines, left) {
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  const pad = (cell, c) => (c < left ? cell.padEnd(widths[c]) : cell.padStart(widths[c]));
  const [head, ...body] = lines.map((line) => line.map(pad).join("   "));
  return [head, widths.map((width) => "-".repeat(width)).join("   "), ...body].join("\n");
}

function percent(share) {
  return `${(100 * share).toFixed(1)}%`;
}
