// Compresses a model in several ways and writes the logits that pare computes of the results. Started by families.py.
//
//   node test/interop/families.mjs MODEL OUTPUT DIST < {"windows": [[ids]], "methods": [...], "targets": {name: options}}
//
// Writes OUTPUT/METHOD-TARGET (checkpoints) and OUTPUT/METHOD-TARGET.f32 (float32 logits, [windows, tokens, vocabulary]).
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [model, output, dist] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(resolve(dist, path)).href);
const { compress } = await load("compress.js");
const { openCheckpoint } = await load("checkpoint/open.js");
const { createReferenceEngine } = await load("engine/reference/reference.js");
const { embedWindows, propagate, asRows } = await load("model/batches.js");
const { openModel } = await load("model/model.js");

const { windows, methods, targets } = JSON.parse(readFileSync(0, "utf8"));
const calibration = join(output, "windows.json");
writeFileSync(calibration, JSON.stringify({ windows }));

/** Logits by the reference engine, so that what is compared is what is meant, not how it is rounded. */
async function logitsOf(folder) {
  const checkpoint = await openCheckpoint(folder);
  try {
    const opened = openModel(checkpoint);
    const engine = createReferenceEngine();
    const [batch] = await embedWindows(
      opened,
      engine,
      windows.map((ids) => Int32Array.from(ids)),
    );
    for (const layer of opened.layers) {
      await propagate(await engine.compile(layer.program), [batch], await opened.layerWeights(engine, layer), () => {});
    }
    const head = await engine.compile(opened.architecture.head);
    return Float32Array.from(await head.run(asRows(batch), await opened.headWeights(engine)));
  } finally {
    await checkpoint.close();
  }
}

for (const method of methods) {
  for (const [name, target] of Object.entries(targets)) {
    const folder = join(output, `${method}-${name}`);
    await compress({ model, output: folder, method, ...target, calibration, engine: "reference" });
    writeFileSync(`${folder}.f32`, await logitsOf(folder));
  }
}
