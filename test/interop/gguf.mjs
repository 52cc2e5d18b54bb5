// Reads a GGUF file as pare does and compares it with the folder that it was made of; writes the folder as GGUF. Started by gguf.py.
//
//   node test/interop/gguf.mjs FOLDER FILE.gguf OUT.gguf TYPE DIST
//
// Prints {"difference": largest of any weight, "tensors": compared, "context": longest window, "refused": why no OUT.gguf}.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, file, out, type, dist] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(resolve(dist, path)).href);
const { openCheckpoint } = await load("checkpoint/open.js");
const { writeGguf } = await load("checkpoint/gguf/write.js");
const { openModel } = await load("model/model.js");
const { checkGgufOutput } = await load("compression/gguf.js");

const [base, gguf] = [await openCheckpoint(folder), await openCheckpoint(file)];
let difference = 0;
let tensors = 0;
for (const name of base.tensors.keys()) {
  if (name === "lm_head.weight" && !gguf.tensors.has(name)) continue;
  const [ours, theirs] = [await gguf.read(name), await base.read(name)];
  if (ours.length !== theirs.length) throw new Error(`${name}: ${ours.length} values instead of ${theirs.length}`);
  for (let i = 0; i < ours.length; i++) difference = Math.max(difference, Math.abs(ours[i] - theirs[i]));
  tensors++;
}
let refused = null;
try {
  await checkGgufOutput(base, { output: out, type, force: true });
} catch (error) {
  refused = error.message;
}
await writeGguf(base, out, { type, name: "test" });
const context = openModel(await openCheckpoint(out)).architecture.maxTokens;
console.log(JSON.stringify({ difference, tensors, refused, context }));
