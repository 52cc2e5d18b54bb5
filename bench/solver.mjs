// Times SparseGPT's solve of one large weight, beside another program's on the same numbers where one is given. See
// bench/README.md.
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createEngine } from "../dist/engine/registry.js";
import { sparsegpt } from "../dist/methods/sparsegpt.js";

const { values: args } = parseArgs({
  options: {
    rows: { type: "string", default: "4096" },
    columns: { type: "string", default: "11008" },
    tokens: { type: "string", default: "4096" },
    peer: { type: "string" },
  },
});
const [rows, columns, tokens] = [args.rows, args.columns, args.tokens].map(Number);
const target = { kind: "unstructured", sparsity: 0.5 };

const engine = createEngine("onnxruntime");
try {
  const weight = { rows, columns, data: normal(rows * columns, 1) };
  const gram = await gramOf(normal(tokens * columns, 2));
  const peer = args.peer ? askPeer(args.peer, weight, gram) : undefined;
  const seconds = { factor: 0, multiply: 0 };
  const start = performance.now();
  const result = await sparsegpt.compress(
    weight,
    { gram: { rows: columns, columns, data: gram }, windows: 1, tokens },
    target,
    sparsegpt.options.parse({}),
    {
      warn: console.error,
      async shared(_, make) {
        const begin = performance.now();
        const value = await make();
        seconds.factor = (performance.now() - begin) / 1000;
        return value;
      },
      async multiply(a, b) {
        const begin = performance.now();
        const value = await engine.multiply(a, b);
        seconds.multiply += (performance.now() - begin) / 1000;
        return value;
      },
    },
  );
  const total = (performance.now() - start) / 1000;
  const zeros = result.data.reduce((sum, value) => sum + (value === 0 ? 1 : 0), 0) / result.data.length;
  const peak = process.resourceUsage().maxRSS / 2 ** 20;
  const own = {
    total,
    factor: seconds.factor,
    columns: total - seconds.factor,
    products: seconds.multiply,
    peak,
    zeros,
  };
  console.log(JSON.stringify({ rows, columns, tokens, pare: own, peer, ratio: peer && total / peer.seconds }, null, 2));
} finally {
  await engine.dispose();
}

/** Normal numbers from a small generator: the same on every machine. */
function normal(length, seed) {
  const data = new Float32Array(length);
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  for (let i = 0; i < length; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(next()));
    const angle = 2 * Math.PI * next();
    data[i] = radius * Math.cos(angle);
    if (i + 1 < length) data[i + 1] = radius * Math.sin(angle);
  }
  return data;
}

/** Σ x xᵀ over the tokens, [columns, columns], by the engine's own product in float64. */
async function gramOf(x) {
  const inputs = new Float64Array(x);
  const transposed = new Float64Array(x.length);
  for (let t = 0; t < tokens; t++) {
    for (let c = 0; c < columns; c++) transposed[c * tokens + t] = inputs[t * columns + c];
  }
  const { data } = await engine.multiply(
    { rows: columns, columns: tokens, data: transposed },
    { rows: tokens, columns, data: inputs },
  );
  return data;
}

/** PEER reads weight and Hessian, float32, from two files, and prints one JSON object with `seconds` and `zeros`. */
function askPeer(command, weight, gram) {
  const folder = mkdtempSync(join(tmpdir(), "pare-solver-"));
  try {
    const [weightFile, hessianFile] = ["weight", "hessian"].map((name) => join(folder, name));
    writeFile(weightFile, weight.data);
    const hessian = new Float32Array(gram);
    for (let i = 0; i < hessian.length; i++) hessian[i] *= 2;
    writeFile(hessianFile, hessian);
    const [program, ...words] = command.split(" ");
    const shape = [rows, columns].map(String);
    return JSON.parse(execFileSync(program, [...words, weightFile, hessianFile, ...shape], { encoding: "utf8" }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function writeFile(path, { buffer, byteOffset, byteLength }) {
  const file = openSync(path, "w");
  const part = 2 ** 28;
  for (let at = 0; at < byteLength; at += part) {
    writeSync(file, new Uint8Array(buffer, byteOffset + at, Math.min(part, byteLength - at)));
  }
  closeSync(file);
}
