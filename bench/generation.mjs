// Tokens a second of greedy generation and of reading prompts; with --peer the same by `transformers`, in turn.
//
//   npm run bench:generation -- --model FOLDER [--peer python3] [--runs 3]
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { median } from "./support.mjs";

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    peer: { type: "string" },
    runs: { type: "string", default: "3" },
    "new-tokens": { type: "string", default: "64" },
    "prompt-tokens": { type: "string", default: "128" },
  },
});
if (!values.model) throw new Error("--model FOLDER is missing");
const cases = [1, 8, 32];
const place = (name) => fileURLToPath(new URL(name, import.meta.url));
const job = (batch) => [values.model, String(batch), values["prompt-tokens"], values["new-tokens"]];
const run = (command, args) =>
  JSON.parse(execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));

for (const batch of cases) {
  const ours = [];
  const peers = [];
  for (let i = 0; i < Number(values.runs); i++) {
    ours.push(run(process.execPath, [place("generation-job.mjs"), ...job(batch)]));
    if (values.peer) peers.push(run(values.peer, [place("generation-peer.py"), ...job(batch)]));
  }
  const of = (results, key) => median(results.map((result) => result[key]));
  const rates = ["decode", "prompt"].map((key) => {
    const own = of(ours, key);
    if (!values.peer) return `${key} ${own.toFixed(1)} tokens/s`;
    const other = of(peers, key);
    return `${key} ${own.toFixed(1)} tokens/s, peer ${other.toFixed(1)}, ${(own / other).toFixed(2)}x`;
  });
  console.log(
    `batch ${batch}: ${rates.join("; ")}; cache ${(ours[0].cacheBytes / 2 ** 20).toFixed(1)} MiB, peak ${ours[0].peakMB} MB`,
  );
}
