// One measurement in a process of its own: MODEL BATCH PROMPT_TOKENS NEW_TOKENS. Prints one JSON object.
import { openCheckpoint } from "../dist/checkpoint/open.js";
import { createEngine } from "../dist/engine/registry.js";
import { generate } from "../dist/generation/generate.js";
import { bytesAToken } from "../dist/generation/sequences.js";
import { createWeightStore } from "../dist/generation/weights.js";
import { openModel } from "../dist/model/model.js";

const [, , folder, ...numbers] = process.argv;
const [batch, promptTokens, newTokens] = numbers.map(Number);
const engine = createEngine("onnxruntime");
const checkpoint = await openCheckpoint(folder);
const model = openModel(checkpoint);
// Prompts that differ from their first token on: nothing is shared.
const prompts = (count) =>
  Array.from({ length: batch }, (_, p) => ({
    ids: Array.from({ length: promptTokens }, (_, i) => 1000 + (((p + 1) * (i + 17) * 37) % 20000)),
    maxNewTokens: count,
  }));
const weights = createWeightStore(model, 2 ** 33);
const times = [];
const continued = async (count) => {
  times.length = 0;
  const begin = performance.now();
  const onToken = () => times.push(performance.now() - begin);
  await generate(
    weights,
    engine,
    prompts(count),
    { endIds: new Set(), decode: () => "", batch, cacheBytes: 2 ** 33, onToken },
    () => {},
  );
};
await continued(4); // weights are read, graphs made
await continued(newTokens);
const first = times[0] / 1000;
const rest = (times.at(-1) - times[0]) / 1000;
console.log(
  JSON.stringify({
    prompt: (batch * promptTokens) / first,
    decode: (batch * (newTokens - 1)) / rest,
    cacheBytes: batch * (promptTokens + newTokens) * bytesAToken(model, engine),
    peakMB: Math.round(process.resourceUsage().maxRSS / 1024),
  }),
);
await engine.dispose();
await checkpoint.close();
