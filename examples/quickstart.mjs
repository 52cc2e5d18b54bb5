// A real study on a small real model: prunes stories260K in six ways and measures what each cost.
// Run by `npm run quickstart`; also shows how the library is used.
import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { compress, evaluate } from "pare";

const model = fileURLToPath(new URL("../assets/models/stories260K", import.meta.url));
const results = fileURLToPath(new URL("../quickstart", import.meta.url));

const rows = [["method", "target", "sparsity", "perplexity", "ratio", "JSD (nats)", "same top-1"]];
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
    measured = await evaluate({ model: output, base: model, data: "tinystories", sequenceLength: 256 });
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
  }
}
await rm(results, { recursive: true, force: true });

const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
const line = (row) => row.map((cell, c) => (c < 2 ? cell.padEnd(widths[c]) : cell.padStart(widths[c]))).join("   ");
const { data, positions, environment } = measured;
console.log(`
stories260K (260,000 parameters), pruned and measured against itself

${line(rows[0])}
${widths.map((width) => "-".repeat(width)).join("   ")}
${rows.slice(1).map(line).join("\n")}

Measured on ${data.windows} windows of ${data.sequenceLength} tokens of ${data.source} (${positions} positions, not those
calibrated on) by ${environment.engine} in ${environment.precision}; ± is a standard error clustered by window.
Same top-1: how often the most likely next token is still the base model's.`);

function percent(share) {
  return `${(100 * share).toFixed(1)}%`;
}
